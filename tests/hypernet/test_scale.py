"""Weights whose scale changes nothing."""

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from ghn_init.deepnets import sample
from ghn_init.graph import trace
from ghn_init.hypernet.scale import lowered, scale_free

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
    free = scale_free(graph)
    x = torch.randn(4, 3, 64 if "/" not in name else 32, 64 if "/" not in name else 32, dtype=torch.float64)
    with torch.no_grad():
        before = network(x)
        for parameter in free:
            network.get_parameter(parameter).mul_(0.25 + 8 * torch.rand((), dtype=torch.float64))
        torch.testing.assert_close(network(x), before, rtol=1e-6, atol=1e-8)
    assert bool(free) == (graph.counts()["bn"] > 0)


class Shared(nn.Module):
    def __init__(self, again):
        super().__init__()
        self.again = again
        self.first, self.second, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norm, self.fc = nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.norm(self.first(x)) + self.norm(self.second(x))
        y = self.norm(self.second(x) if self.again else x)
        return self.fc((self.norm(self.last(y)) + (self.last(x) if self.again else x)).mean((2, 3)))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.randn(3, 3, 1, 1)) for _ in range(2))
        self.norm, self.fc = nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.norm(F.conv2d(F.relu(self.norm(F.conv2d(x, self.first))), self.second))
        return self.fc((F.conv2d(x, self.second) + x).mean((2, 3)))


def test_a_weight_counts_with_all_that_it_is_used_for():
    assert scale_free(trace(Shared(again=False))) == {"first.weight", "second.weight", "last.weight"}
    assert scale_free(trace(Shared(again=True))) == {"first.weight", "second.weight"}
    assert scale_free(trace(Functional())) == {"first"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_only_what_is_larger_is_lowered(dtype):
    x = torch.randn(50, 40).to(dtype)
    small, large, nothing = 0.1 * x, 10 * x, torch.zeros(3, 3, dtype=dtype)
    before = small.clone()
    for tensor in (small, large, nothing):
        lowered(tensor, 0.5)
    assert torch.equal(small, before)
    assert not nothing.any()
    assert large.double().square().mean().sqrt() == pytest.approx(0.5, rel=0.01)
    torch.testing.assert_close(large / large.norm(), x / x.norm(), rtol=0.02, atol=1e-4)
