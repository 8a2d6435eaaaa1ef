import dataclasses
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
            architecture = largest(name, model)
            side = 32 if architecture.fixed_resolution else 16
            network = architecture.build(10, side)
            assert network(torch.empty(2, 3, side, side)).shape == (2, 10)
        assert sum(parameter.numel() for parameter in network.parameters()) < 3_000_000


@pytest.mark.parametrize("name", FAMILIES)
def test_costs_are_about_those_of_a_forward_pass(name):
    drawn = [one for one in map(timm_architecture, range(1500)) if one.family == name][:5]
    ratios = []
    for architecture in (*drawn, largest(name, FAMILIES[name].models[-1])):
        with torch.device("meta"):
            network = architecture.build()
            with FlopCounterMode(display=False) as counter:
                network(torch.empty(2, 3, 32, 32))
        # torch counts two operations a multiply-add, here of two images
        ratios.append(architecture.cost() / (counter.get_total_flops() / 4))
    assert len(drawn) == 5
    assert 0.75 < np.median(ratios) < 1.33
    assert min(ratios) > 0.4
    assert max(ratios) < 2.5


def test_models_are_timms():
    assert {model for _, model in MODELS} - set(CLASSES) <= set(timm.list_models())
    assert len(MODELS) >= 40


def test_batch_statistics_are_used():
    network = timm_architecture(next(i for i in range(100) if timm_architecture(i).family == "resnet")).build()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network(1000 * images), rtol=1e-3, atol=1e-3)


VALUES = [
    (name, argument, value)
    for name, family in FAMILIES.items()
    for argument, values in family.variants.items()
    for value in values
]


@pytest.mark.parametrize(("name", "argument", "value"), VALUES)
def test_every_value_of_a_variant_is_possible(name, argument, value):
    for model in FAMILIES[name].models:
        architecture = dataclasses.replace(smallest(name, model), variant=((argument, value),))
        side = 32 if architecture.fixed_resolution else 16
        with torch.device("meta"):
            logits = architecture.build(7, side)(torch.empty(2, 3, side, side))
            assert logits.shape == (2, 7)
            logits.sum().backward()  # an operation in place may keep a network from being trained


@pytest.mark.parametrize("index", range(12))
def test_varied_models_are_traced_whole(index):
    graph = timm_architecture(index, seed=2).graph()
    assert not graph.left_out
    assert not graph.not_understood


def test_a_variant_reaches_the_model():
    vit = TimmArchitecture("vit", "vit_tiny_patch16_224", 64, (2,), (("patch_size", 8), ("qkv_bias", False)))
    network = vit.build()
    assert network.patch_embed.proj.kernel_size == (8, 8)
    assert network.blocks[0].attn.qkv.bias is None
    wide_stem = TimmArchitecture(
        "efficientnet", "EfficientNet", 16, (1, 1, 1), (("stem", 2), ("strides", (1, 2, 2, 1)))
    )
    network = wide_stem.build()
    assert (network.conv_stem.out_channels, network.blocks[0][0].conv_pw.out_channels) == (32, 16)
    assert len(network.blocks) == 4


def test_architectures_from_before_there_were_variants_can_be_read():
    data = {"kind": "timm", "family": "vit", "model": "PooledViT", "width": 64, "depths": [3]}
    assert from_dict(data) == TimmArchitecture("vit", "PooledViT", 64, (3,))


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
    "TimmArchitecture(family='shvit', model='shvit_s1', width=8, depths=(1, 2, 2), variant=())",
    "TimmArchitecture(family='pvt', model='pvt_v2_b0', width=32, depths=(1, 1, 2, 1), "
    "variant=(('growth', (1, 2, 4, 8)), ('linear', False)))",
]


def test_typical_models_are_small():
    with torch.device("meta"):
        networks = [timm_architecture(index).build() for index in range(20)]
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert 0.2e6 < np.median(sizes) < 0.8e6
    nodes = [len(timm_architecture(index).graph()) for index in range(10)]
    assert max(nodes) <= 200


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
        (
            ("eva", "beit_base_patch16_224", 64, (2,), (("patch_size", 5),)),
            r"patch_size=5 .* patch_size of \[4, 8, 16\]",
        ),
        (("starnet", "starnet_s1", 8, (1, 1, 1, 1), (("width", 5),)), "variants of starnet: none"),
    ],
)
def test_bad_architectures_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmArchitecture(*arguments)


def test_negative_indices_are_refused():
    with pytest.raises(ValueError, match="negative"):
        timm_architecture(-1)
