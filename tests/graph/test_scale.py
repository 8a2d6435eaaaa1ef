"""Weights whose scale changes nothing."""

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from ghn_init.deepnets import sample
from ghn_init.graph import ArchGraph, trace

NETWORKS = {
    **{f"{split}/{index}": (lambda s=split, i=index: sample(s, i).with_width(16).build(10, 32)) for split, index in (
        ("train", 0), ("train", 1), ("train", 2), ("train", 3), ("dense", 0), ("bnfree", 0)
    )},
    **{name: (lambda n=name: timm.create_model(n, num_classes=10)) for name in (
        "resnet10t", "resnetv2_18", "mobilenetv3_small_050", "regnetx_002", "densenet121", "convnext_atto"
    )},
    **{name: (lambda n=name: torchvision.models.get_model(n, num_classes=10)) for name in (
        "vgg11_bn", "shufflenet_v2_x0_5", "mnasnet0_5"
    )},
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_the_same_with_other_scales(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().double().train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps, module.track_running_stats, module.running_mean, module.running_var = 1e-14, False, None, None
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    graph = trace(network)
    free = graph.scale_free
    x = torch.randn(4, 3, 64 if "/" not in name else 32, 64 if "/" not in name else 32, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        for parameter in free:
            network.get_parameter(parameter).mul_(0.25 + 8 * torch.rand((), dtype=torch.float64))
        torch.testing.assert_close(network(x), before, rtol=1e-6, atol=1e-8)
    assert bool(free) == (graph.counts()["bn"] > 0)


class Block(nn.Module):
    """Two convolutions with a norm each, and `use` of the second one's output or weight."""

    def __init__(self, use, bias=False):
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, bias=bias)
        self.norm, self.fc, self.use = nn.BatchNorm2d(3), nn.Linear(3, 2), use
        self.register_buffer("shift", torch.randn(3, 1, 1))

    def forward(self, x):
        x = self.norm(self.a(self.stem(x)))
        return self.fc(self.use(self, x).mean((2, 3)))


USES = {
    "norm": (lambda m, x: m.norm(m.b(x)), True),
    "functional norm": (lambda m, x: F.batch_norm(m.b(x), None, None, training=True), True),
    "norm twice": (lambda m, x: m.norm(m.b(x)) + m.norm(m.b(x.relu())), True),
    "no norm": (lambda m, x: m.b(x), False),
    "one call without": (lambda m, x: m.norm(m.b(x)) + m.b(x), False),
    "subtracted": (lambda m, x: m.norm(x - m.b(x)), False),
    "a buffer": (lambda m, x: m.norm(m.b(x) + m.shift), False),
    "an activation": (lambda m, x: m.norm(F.gelu(m.b(x))), False),
    "an activation after a bias": (lambda m, x: m.norm(m.b(x).relu()), False),
    "the input joined": (lambda m, x: m.norm(F.pad(x, (0, 0)) + m.b(x)), False),
    "a gate": (lambda m, x: m.norm(m.b(x) * m.b(x).sigmoid()), False),
    "read twice": (lambda m, x: m.norm(y := m.b(x)) * y.sigmoid(), False),
    "the weight by itself": (lambda m, x: m.norm(m.b(x)) + F.conv2d(x, m.b.weight), False),
    "the weight's mean": (lambda m, x: m.norm(m.b(x)) * m.b.weight.mean(), False),
    "a clamp": (lambda m, x: m.norm(m.b(x).clamp(-1, 1)), False),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("use", USES)
def test_all_that_is_done_with_a_weight_counts(use, bias):
    function, free = USES[use]
    found = trace(Block(function, bias)).scale_free
    assert "stem.weight" not in found
    assert "a.weight" in found
    assert ("b.weight" in found) == free


def test_weights_with_several_names_are_not_free():
    network = Block(USES["norm"][0])
    network.b.weight = network.stem.weight
    assert trace(network).scale_free == {"a.weight"}


def test_features_of_sequences_lie_elsewhere_than_a_norm_s():
    for bias in (False, True):
        network = nn.Sequential(nn.Linear(6, 8, bias=bias), nn.BatchNorm1d(5), nn.Flatten(), nn.Linear(40, 2))
        graph = trace(network, example_inputs=torch.zeros(2, 5, 6))
        assert graph.scale_free == (frozenset() if bias else {"0.weight"})


def test_graphs_keep_them():
    graph = trace(Block(USES["norm"][0]))
    assert ArchGraph.from_dict(graph.to_dict()).scale_free == graph.scale_free == {"a.weight", "b.weight"}
