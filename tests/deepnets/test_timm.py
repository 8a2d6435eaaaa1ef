import json

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.deepnets import TimmArchitecture, from_dict, timm_architecture
from ghn_init.deepnets.timm_classes import CLASSES
from ghn_init.deepnets.timm_families import FAMILIES

MODELS = [(name, model) for name, family in FAMILIES.items() for model in family.models]


def smallest(name, model):
    family = FAMILIES[name]
    return TimmArchitecture(name, model, family.widths[0], tuple(least for least, _ in family.depths))


def largest(name, model):
    family = FAMILIES[name]
    return TimmArchitecture(name, model, family.widths[-1], tuple(most for _, most in family.depths))


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_every_model_runs_and_is_traced_whole(name, model):
    torch.manual_seed(0)
    architecture = smallest(name, model)
    network = architecture.build(7, 32)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        logits = network(images)
        assert logits.shape == (3, 7)
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(network(images), logits)  # no dropout
    assert all(norm.running_mean is None for norm in network.modules() if isinstance(norm, _BatchNorm))
    graph = architecture.graph(7, 32)
    assert not graph.left_out
    assert not graph.not_understood
    covered = {node.param for node in graph.nodes} | {node.rider for node in graph.nodes}
    assert covered - {None} == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_largest_of_a_family_is_small_enough_to_train(name):
    for model in FAMILIES[name].models:
        with torch.device("meta"):
            network = largest(name, model).build(10, 16)
            assert network(torch.empty(2, 3, 16, 16)).shape == (2, 10)
        assert sum(parameter.numel() for parameter in network.parameters()) < 3_000_000


@pytest.mark.parametrize("name", FAMILIES)
def test_costs_are_about_those_of_a_forward_pass(name):
    architecture = largest(name, FAMILIES[name].models[-1])
    with torch.device("meta"):
        network = architecture.build()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(2, 3, 32, 32))
    # torch counts two operations a multiply-add, here of two images
    assert 0.7 < architecture.cost() / (counter.get_total_flops() / 4) < 1.4


def test_models_are_timms():
    assert {model for _, model in MODELS} - set(CLASSES) <= set(timm.list_models())
    assert len(MODELS) >= 40


def test_batch_statistics_are_used():
    network = timm_architecture(next(i for i in range(100) if timm_architecture(i).family == "resnet")).build()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network(1000 * images), rtol=1e-3, atol=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 10**9), st.integers(0, 3))
def test_json_round_trip(index, seed):
    architecture = timm_architecture(index, seed)
    assert from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
    assert timm_architecture(index, seed) == architecture
    assert {architecture: 1}[timm_architecture(index, seed)] == 1  # hashable


def test_the_stream_is_pinned_and_covers_all_models():
    drawn = [timm_architecture(index) for index in range(1000)]
    assert {(a.family, a.model) for a in drawn} == set(MODELS)
    assert [repr(a) for a in drawn[:2]] == PINNED
    assert drawn[:10] != [timm_architecture(index, seed=1) for index in range(10)]


PINNED = [
    "TimmArchitecture(family='mambaout', model='mambaout_femto', width=16, depths=(1, 2, 2, 1))",
    "TimmArchitecture(family='mixer', model='gMLP', width=128, depths=(4,))",
]


def test_typical_models_are_small():
    with torch.device("meta"):
        networks = [timm_architecture(index).build() for index in range(20)]
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert 0.2e6 < np.median(sizes) < 0.8e6
    nodes = [len(timm_architecture(index).graph()) for index in range(10)]
    assert max(nodes) <= 150


def test_with_width_scales():
    architecture = TimmArchitecture("vit", "vit_tiny_patch16_224", 64, (2,))
    assert architecture.fixed_resolution
    assert architecture.with_width(128).build().embed_dim == 128
    assert 3 < architecture.with_width(128).cost() / architecture.cost() < 4.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet", "lenet5", 8, (1,)), "unknown family 'lenet'"),
        (("vit", "resnet18", 64, (2,)), "unknown model 'resnet18' of vit"),
        (("resnet", "resnet18", 16, (1, 1)), "with 4 stages"),
        (("vit", "vit_tiny_patch16_224", 64, (0,)), "must be positive"),
    ],
)
def test_bad_architectures_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmArchitecture(*arguments)


def test_negative_indices_are_refused():
    with pytest.raises(ValueError, match="negative"):
        timm_architecture(-1)
