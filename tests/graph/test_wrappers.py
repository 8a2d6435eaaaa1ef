"""Networks inside `torch.compile`, DataParallel or an average of weights, in what needs to know their arguments."""

import pytest
import timm
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import ghn_init
from ghn_init.graph import trace


def _never(graph, inputs):
    raise AssertionError("compiled")


WRAPPERS = {
    "_orig_mod.": lambda network: torch.compile(network, backend=_never),
    "module.": nn.DataParallel,
    "module._orig_mod.": lambda network: AveragedModel(torch.compile(network, backend=_never)),
}


class Mean(nn.Module):
    """Named like a wrapper's, but its network is not all that it does."""

    def __init__(self):
        super().__init__()
        self.module = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        return self.module(image).mean((2, 3))


def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=5)


@pytest.fixture(params=WRAPPERS)
def wrapped(request):
    return request.param, WRAPPERS[request.param](network())


@pytest.mark.parametrize("name", ["test_resnet", "mobilevit_xxs"])  # a symbolic trace, one with shapes
def test_graph_is_the_networks_with_longer_names(name):
    inner = timm.create_model(name, num_classes=5)
    plain = trace(inner)
    for prefix, wrap in WRAPPERS.items():
        graph = trace(wrap(inner))
        assert graph.edges == plain.edges
        assert [node.type for node in graph.nodes] == [node.type for node in plain.nodes]
        names = [node.param and prefix + node.param for node in plain.nodes]
        assert [node.param for node in graph.nodes] == names
        assert graph.scale_free == {prefix + name for name in plain.scale_free}
        assert graph.traced == plain.traced


def test_weights_are_the_networks(wrapped):
    prefix, outer = wrapped
    bare = {"blend": 0, "noise": 0, "floor": 0}  # random numbers are drawn by name
    plain = ghn_init.apply(network(), **bare).state_dict()
    values = ghn_init.apply(outer, **bare).state_dict()
    assert all(torch.equal(values[prefix + name], value) for name, value in plain.items())


def test_batches_reach_the_network(wrapped):
    prefix, outer = wrapped
    plain = network()
    loader = [(torch.randn(16, 3, 32, 32), torch.arange(16) % 5) for _ in range(4)]
    for module in (plain, outer):
        ghn_init.calibrate(module, loader)
        ghn_init.fit_head(module, loader)
    values = outer.state_dict()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(values[prefix + name], value)
    assert len(ghn_init.measure(outer).layers) == len(ghn_init.measure(plain).layers)


def test_network_compiled_in_place_is_not_compiled_for_a_trace():
    inner = timm.create_model("mobilevit_xxs", num_classes=5)
    plain = trace(inner)
    inner.compile(backend=_never)
    assert ghn_init.apply(inner) is inner
    assert trace(inner) == plain


def test_only_what_passes_everything_on_is_a_wrapper():
    assert "glob_avg" in {node.type for node in trace(Mean()).nodes}
