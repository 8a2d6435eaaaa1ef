"""`trace` finds the graph of a module of the same structure, and of no other."""

import copy
import functools
import gc
import threading
import types
import weakref

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ghn_init
from ghn_init.graph import NodeRule, cache, cache_clear, cache_info, register, trace, unregister
from ghn_init.graph.fingerprint import fingerprint

fresh_trace = trace.__wrapped__


@pytest.fixture(autouse=True)
def empty_cache():
    cache_clear()
    yield
    cache_clear()


class Block(nn.Module):
    def __init__(self, width=8, scale=1.0):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.other = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.scale = scale
        self.sizes = [3, 3]
        self.register_buffer("table", torch.arange(4))

    def forward(self, x):
        return x + self.act(self.norm(self.other(self.conv(x)))) * self.scale


def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3), Block(), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def on_meta(build, name):
    with torch.device("meta"):
        return build(name)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_b0", "swin_tiny_patch4_window7_224"]
)
def test_timm_models_are_found_again(name):
    graph = trace(on_meta(timm.create_model, name))
    assert trace(on_meta(timm.create_model, name)) is graph
    assert cache_info()[:2] == (1, 1)
    assert graph == fresh_trace(on_meta(timm.create_model, name))


@pytest.mark.parametrize("name", ["resnet18", "vit_b_32", "swin_t", "mobilenet_v3_small", "densenet121"])
def test_torchvision_models_are_found_again(name):
    graph = trace(on_meta(torchvision.models.get_model, name))
    assert trace(on_meta(torchvision.models.get_model, name)) is graph


def test_weights_statistics_and_training_mode_do_not_matter():
    model = network()
    graph = trace(model)
    trained = network().train()
    trained(torch.randn(2, 3, 8, 8)).sum().backward()
    for parameter in trained.parameters():
        parameter.data.add_(1)
    assert trace(trained) is graph
    assert trace(trained.eval()) is graph
    assert trace(copy.deepcopy(model)) is graph


def test_predictions_reuse_graph_and_paths():
    ghn = ghn_init.GHN(ghn_init.GHNConfig(hid=16, max_shape=(8, 8, 3, 3), heads=2, layers=1))
    first, second = ghn_init.predict(network(), ghn), ghn_init.predict(network(), ghn)
    assert first.graph is second.graph
    assert "distances" in vars(first.graph)


def forward_without_shortcut(self, x):
    return self.norm(self.other(self.conv(x)))


class Hook:
    def __call__(self, module, inputs, output):
        return output


def tie(model):
    model[1].other.weight = model[1].conv.weight


CHANGES = {
    "stride": lambda model: setattr(model[1].conv, "stride", (2, 2)),
    "groups": lambda model: model[1].register_module("conv", nn.Conv2d(8, 8, 3, padding=1, groups=2)),
    "module replaced by another class": lambda model: setattr(model[1], "act", nn.GELU()),
    "module removed": lambda model: model.pop(2),
    "module shared": lambda model: model.__setitem__(2, model[1]),
    "name of a module": lambda model: model.register_module("further", model.pop(5)),
    "forward of an instance": lambda model: setattr(
        model[1], "forward", types.MethodType(forward_without_shortcut, model[1])
    ),
    "a closure as forward": lambda model: setattr(model[1], "forward", lambda x: model[1].conv(x)),
    "a partial as forward": lambda model: setattr(
        model[1], "forward", functools.partial(forward_without_shortcut, model[1])
    ),
    "parameter tied": tie,
    "parameter frozen": lambda model: model[1].conv.weight.requires_grad_(False),
    "parameter added": lambda model: model.register_parameter("extra", nn.Parameter(torch.zeros(3))),
    "bias removed": lambda model: model[1].conv.register_parameter("bias", None),
    "dtype": lambda model: model.double(),
    "device": lambda model: model.to("meta"),
    "number in an attribute": lambda model: setattr(model[1], "scale", 1.5),
    "type of a number": lambda model: setattr(model[1], "scale", 1),
    "list in an attribute": lambda model: model[1].sizes.append(3),
    "new attribute": lambda model: setattr(model[1], "flag", None),
    "values of a buffer": lambda model: model[1].table.add_(1),
    "tensor in an attribute": lambda model: setattr(model[1], "constant", torch.ones(2)),
    "class of an object in an attribute": lambda model: setattr(model[1], "settings", types.SimpleNamespace(a=1)),
    "hook": lambda model: model[1].register_forward_hook(Hook()),
    "hook before": lambda model: model[1].register_forward_pre_hook(lambda module, inputs: inputs),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change):
    model, same = network(), network()
    before = fingerprint(model)
    assert before == fingerprint(same)
    CHANGES[change](model)
    assert fingerprint(model) != before


def test_changes_inside_objects_and_closures_are_noticed():
    def with_closure(factor):
        model = network()
        model[1].post = lambda x: x * factor
        model[1].settings = types.SimpleNamespace(inner={"a": [1, {"b": factor}]})
        return model

    assert fingerprint(with_closure(2)) == fingerprint(with_closure(2))
    assert fingerprint(with_closure(2)) != fingerprint(with_closure(3))


def test_a_method_replaced_in_the_class_is_noticed(monkeypatch):
    graph = trace(network())
    monkeypatch.setattr(Block, "forward", forward_without_shortcut)
    changed = trace(network())
    assert changed.counts()["sum"] == 0 < graph.counts()["sum"]
    monkeypatch.undo()
    assert trace(network()) is graph


def test_rules_are_part_of_the_key():
    graph = trace(network())
    register(nn.ReLU, NodeRule("max_pool"))
    try:
        assert trace(network()).counts()["max_pool"] == 2
    finally:
        unregister(nn.ReLU)
    assert trace(network()).counts() == graph.counts()


class ByShape(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 4)
        self.wide = nn.Linear(4, 4)

    def forward(self, x, deep=None):
        x = self.embed(x)
        return self.wide(x) if x.shape[1] > 4 else x


def test_shapes_of_example_inputs_are_part_of_the_key():
    short, long = torch.zeros(2, 3, 4), torch.zeros(2, 9, 4)
    assert len(trace(ByShape(), example_inputs=short)) < len(trace(ByShape(), example_inputs=long))
    assert trace(ByShape(), example_inputs=torch.ones(2, 3, 4)) is trace(ByShape(), example_inputs=short)
    assert fingerprint(ByShape(), (short,)) != fingerprint(ByShape(), (short, True))


@pytest.mark.parametrize(
    "attribute", [threading.Lock(), (n for n in range(3)), [1].append, weakref.ref(Hook)], ids=type
)
def test_what_cannot_be_described_is_traced_every_time(attribute):
    model = network()
    model[1].strange = [attribute]
    assert fingerprint(model) is None
    first, second = trace(model), trace(model)
    assert first == second
    assert first is not second
    assert cache_info() == (0, 2, 0)


def test_modules_are_not_kept_alive():
    model = network()
    model[1].forward = types.MethodType(forward_without_shortcut, model[1])
    trace(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert cache_info().entries == 1


def test_cycles_and_modules_outside_the_tree():
    def build(width):
        torch.manual_seed(0)  # what is not registered counts with its values
        model = network()
        model[1].links = [model]
        model[1].helpers = [nn.Linear(width, 8)]
        return model

    assert fingerprint(build(8)) == fingerprint(build(8))
    assert fingerprint(build(8)) != fingerprint(build(9))


@pytest.mark.parametrize(("name", "most"), [("MOST_GRAPHS", 2), ("MOST_PAIRS", 2 * 3**2)])
def test_the_cache_is_bounded_and_drops_what_was_not_used_for_longest(monkeypatch, name, most):
    monkeypatch.setattr(cache, name, most)
    models = [nn.Sequential(nn.Linear(4, width), nn.ReLU()) for width in (2, 3, 4)]
    graphs = [trace(model) for model in models[:2]]
    if name == "MOST_PAIRS":
        assert len(graphs[0]) ** 2 * 2 <= most < len(graphs[0]) ** 2 * 3
    assert trace(models[0]) is graphs[0]
    trace(models[2])
    assert cache_info().entries == 2
    assert trace(models[0]) is graphs[0]
    assert trace(models[1]) is not graphs[1]


def test_threads_get_equal_graphs():
    found = []
    threads = [threading.Thread(target=lambda: found.append(trace(network()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [fresh_trace(network())] * 6
    assert trace(network()) in found


LAYERS = {
    "conv": lambda n: nn.Conv2d(8, 8, 2 * n - 1, padding=n - 1),
    "grouped": lambda n: nn.Conv2d(8, 8, 3, padding=1, groups=2**n),
    "norm": lambda n: nn.GroupNorm(2**n, 8),
    "relu": lambda n: nn.ReLU(),
    "pool": lambda n: nn.MaxPool2d(n),
    "block": lambda n: Block(scale=float(n)),
}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(sorted(LAYERS)), st.integers(1, 3)), min_size=1, max_size=4))
def test_cached_graphs_are_those_of_a_fresh_trace(layers):
    def build():
        return nn.Sequential(*(LAYERS[kind](n) for kind, n in layers))

    assert trace(build()) == trace(build()) == fresh_trace(build())


@settings(max_examples=25)
@given(*[st.lists(st.tuples(st.sampled_from(sorted(LAYERS)), st.integers(1, 3)), min_size=1, max_size=3)] * 2)
def test_equal_keys_mean_equal_graphs(first, second):
    one, other = (nn.Sequential(*(LAYERS[kind](n) for kind, n in layers)) for layers in (first, second))
    assert (fingerprint(one) == fingerprint(other)) == (repr(one) == repr(other) and scales(one) == scales(other))


def scales(model):
    return [part.scale for part in model.modules() if isinstance(part, Block)]


def test_a_function_of_the_module_counts_with_its_defaults():
    def build(default):
        model = network()

        def forward(x, slope=default):
            return F.leaky_relu(x, slope)

        model[1].act.forward = forward
        return model

    assert fingerprint(build(0.1)) == fingerprint(build(0.1))
    assert fingerprint(build(0.1)) != fingerprint(build(0.2))
