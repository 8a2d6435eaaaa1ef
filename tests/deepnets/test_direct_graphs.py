"""The graph that follows from an architecture alone is the one that a trace of its network finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.deepnets import SPLITS, Classic, sample
from ghn_init.graph import trace

RANDOM = [split for split in SPLITS if split != "predefined"]
CLASSICS = st.builds(
    Classic,
    st.sampled_from(["plain", "basic", "bottleneck"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
    st.sampled_from([8, 16, 20]),
)


def traced(architecture, num_classes=10, image_size=32):
    with torch.device("meta"):
        return trace(architecture.build(num_classes, image_size))


@settings(max_examples=40)
@given(st.sampled_from(RANDOM), st.integers(0, 10**6), st.sampled_from([16, 32]))
def test_random_networks(split, index, image_size):
    architecture = sample(split, index)
    assert architecture.graph(7, image_size) == traced(architecture, 7, image_size)


@pytest.mark.parametrize("index", [0, 1])
def test_predefined_networks(index):
    architecture = sample("predefined", index)
    assert architecture.graph() == traced(architecture)


@settings(max_examples=12)
@given(CLASSICS)
def test_classic_networks(architecture):
    assert architecture.graph(5) == traced(architecture, 5)


@pytest.mark.parametrize("split", ["train", "search", "predefined"])
def test_costs_are_those_of_a_forward_pass(split):
    for index in range(2):
        architecture = sample(split, index)
        with torch.device("meta"):
            network = architecture.build()
            with FlopCounterMode(display=False) as counter:
                network(torch.empty(1, 3, 32, 32))
        # torch counts two operations a multiply-add, and neither norms nor poolings
        assert 0.8 < architecture.cost() / (counter.get_total_flops() / 2) < 1.35


def test_costs_grow_with_images_and_width():
    architecture = sample("train", 0)
    assert 3.5 < architecture.cost(64) / architecture.cost(32) < 4.5
    assert 3 < architecture.with_width(2 * architecture.width).cost() / architecture.cost() < 4.5


@pytest.mark.parametrize("split", ["train", "bnfree", "predefined"])
def test_a_skeleton_on_the_meta_device_is_the_network_without_values(split):
    for index in range(2):
        architecture = sample(split, index)
        architecture = architecture.with_width(16)
        network = architecture.build()
        with torch.device("meta"):
            skeleton, other = architecture.build(), architecture.build()
        assert str(skeleton) == str(network)
        assert not any(module.training for module in skeleton.modules())
        shapes = {name: (tuple(p.shape), p.requires_grad) for name, p in network.named_parameters()}
        assert {name: (tuple(p.shape), p.requires_grad) for name, p in skeleton.named_parameters()} == shapes
        assert all(parameter.is_meta for parameter in skeleton.parameters())
        # nothing is shared: a change of one shows in no other
        assert not {id(p) for p in skeleton.parameters()} & {id(p) for p in other.parameters()}
        assert not {id(m) for m in skeleton.modules()} & {id(m) for m in other.modules()}
        conv = next(m for m in skeleton.modules() if isinstance(m, nn.Conv2d))
        conv.register_forward_hook(lambda *_: None)
        assert not any(module._forward_hooks for module in other.modules())
