"""What holds for every strategy on every module."""

from __future__ import annotations

import copy
import warnings

import pytest
import timm
import torch
from networks import Conv, Encoder, Separate, Tied, nothing_but_values_changes, same, state
from torch import nn

import ghn_init
from ghn_init import StrategyError, TraceError, strategies

ALL = [
    entry.name
    for entry in strategies.available()
    if (entry.argument is None or not entry.argument.required) and "batches" not in entry.options
]
FAMILIES = {
    "resnet10t": {"channels": (8, 16, 24, 32)},
    "vit_tiny_patch16_224": {"depth": 2, "img_size": 64, "embed_dim": 48},
    "mobilenetv3_small_050": {"num_classes": 10},
    "tinynet_e": {"num_classes": 10},
    "convnextv2_atto": {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)},
    "swin_tiny_patch4_window7_224": {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)},
    "pvt_v2_b0": {"depths": (1, 1, 1, 1), "num_classes": 10},
    "edgenext_xx_small": {"num_classes": 10},
    "regnetx_002": {"num_classes": 10},
    "densenet121": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "cait_xxs24_224": {"depth": 2, "img_size": 64, "embed_dim": 48},
    "mobilevit_xxs": {"num_classes": 10},
}


def quietly(module: nn.Module, strategy: str, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return ghn_init.initialise(module, strategy, **options)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_strategy_gives_finite_outputs_on_every_family(name):
    torch.manual_seed(0)
    model = timm.create_model(name, **FAMILIES[name])
    own = copy.deepcopy(model.state_dict())
    side = FAMILIES[name].get("img_size", model.default_cfg["input_size"][-1])
    batch = torch.randn(2, 3, side, side)
    for strategy in ALL:
        model.train().load_state_dict(own)
        with nothing_but_values_changes(model):
            quietly(model, strategy)
        with torch.no_grad():
            assert model(batch).isfinite().all(), strategy


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("network", [Conv, Encoder, Separate, Tied])
def test_same_module_and_seed_same_bits(network, strategy):
    inputs = torch.zeros(1, 4, dtype=torch.long) if network is Tied else None
    inputs = torch.zeros(1, 6, 24) if network is Separate else inputs
    inputs = torch.zeros(1, 6, 12) if network is Encoder else inputs
    first = network()
    second, third = copy.deepcopy(first), copy.deepcopy(first)
    with nothing_but_values_changes(first):
        quietly(first, strategy, seed=5, example_inputs=inputs)
    torch.rand(3)
    quietly(second, strategy, seed=5, example_inputs=inputs)
    quietly(third, strategy, seed=6, example_inputs=inputs)
    assert same(state(first), state(second))
    drawn = strategy not in ("default", "zero") and not (strategy == "mimetic" and network in (Conv, Tied))
    assert same(state(first), state(third)) is not drawn


@pytest.mark.parametrize("strategy", ["kaiming_normal", "orthogonal", "delta_orthogonal", "zero", "ghn_orth"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtypes_layouts_and_frozen_parameters_stay(strategy, dtype):
    model = Conv().to(dtype).to(memory_format=torch.channels_last).eval()
    model.stem.weight.requires_grad_(False)
    before = state(model)
    with nothing_but_values_changes(model):
        ghn_init.initialise(model, strategy)
    assert not torch.equal(model.stem.weight, before["stem.weight"])


def test_an_optimiser_built_before_goes_on():
    model = Conv()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    ghn_init.initialise(model, "kaiming_normal")
    before = state(model)
    model(torch.randn(4, 3, 8, 8)).square().mean().backward()
    optimiser.step()
    assert not torch.equal(model.stem.weight, before["stem.weight"])


@pytest.mark.parametrize("strategy", ALL)
def test_parameters_without_memory_are_errors(strategy):
    with torch.device("meta"):
        model = Conv()
    with pytest.raises(StrategyError, match=r"stem.weight of Conv is on the meta device.*to_empty"):
        ghn_init.initialise(model, strategy)
    with pytest.raises(StrategyError, match="lazy layer"):
        ghn_init.initialise(nn.Sequential(nn.LazyLinear(3)), strategy)
    expanded = nn.Linear(3, 3)
    expanded.weight = nn.Parameter(torch.randn(1, 3).expand(3, 3))
    with pytest.raises(StrategyError, match="share memory"):
        ghn_init.initialise(expanded, strategy)


class Untraceable(nn.Module):
    """Refuses every input."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        raise RuntimeError("no input is good enough")


@pytest.mark.parametrize("strategy", [name for name in ALL if name != "default"])
def test_a_module_that_cannot_be_traced_is_as_it_was(strategy):
    model = Untraceable()
    before = state(model)
    with pytest.raises(TraceError):
        ghn_init.initialise(model, strategy)
    assert same(state(model), before)


def test_default_takes_modules_that_nothing_else_could():
    assert isinstance(ghn_init.initialise(Untraceable(), "default"), Untraceable)


def test_errors_half_way_are_undone():
    class StopHereError(Exception):
        pass

    def half(module: nn.Module) -> None:
        nn.init.zeros_(module.stem.weight)
        module.norm.running_mean.fill_(3.0)
        module.head.bias = nn.Parameter(torch.ones(5))
        raise StopHereError

    model = Conv()
    before, parameters = state(model), [id(parameter) for parameter in model.parameters()]
    with pytest.raises(StopHereError):
        ghn_init.initialise(model, half)
    assert same(state(model), before)
    assert [id(parameter) for parameter in model.parameters()] == parameters


def test_parameters_must_not_be_replaced():
    def replaces(module: nn.Module) -> None:
        module.head.bias = nn.Parameter(torch.ones(5))

    def replaces_layer(module: nn.Module) -> None:
        module.head = nn.Linear(8, 5)

    def adds(module: nn.Module) -> None:
        module.head.scale = nn.Parameter(torch.ones(5))

    def reshapes(module: nn.Module) -> None:
        module.head.bias.data = torch.ones(1)

    cases = {replaces: "head.bias", replaces_layer: "head.weight", adds: "head.scale", reshapes: "shape"}
    for strategy, message in cases.items():
        model = Conv()
        before, head, bias = state(model), model.head, model.head.bias
        with pytest.raises(StrategyError, match=message):
            ghn_init.initialise(model, strategy)
        assert model.head is head
        assert model.head.bias is bias
        assert same(state(model), before)


def test_only_values_change_whatever_a_strategy_does():
    def assigns(module: nn.Module) -> None:
        module.stem.weight.data = torch.full(module.stem.weight.shape, 0.1, dtype=torch.float64)
        module.stem.weight.requires_grad_(False)
        module.eval()

    def assigns_and_fails(module: nn.Module) -> None:
        module.stem.weight.data = torch.zeros(2)
        raise KeyError

    model = Conv().to(memory_format=torch.channels_last)
    with nothing_but_values_changes(model):
        ghn_init.initialise(model, assigns)
    assert torch.equal(model.stem.weight, torch.full_like(model.stem.weight, 0.1))
    before = state(model)
    with nothing_but_values_changes(model), pytest.raises(KeyError):
        ghn_init.initialise(model, assigns_and_fails)
    assert same(state(model), before)


def test_a_failed_measurement_leaves_the_module_as_it_was():
    model = Conv()
    before = state(model)
    with pytest.raises(ghn_init.CalibrationError):
        ghn_init.initialise(model, "lsuv", batch=torch.full((2, 3, 8, 8), torch.nan))
    assert same(state(model), before)


@pytest.mark.parametrize("wrong", [3, None, ["ghn"]])
def test_what_is_no_strategy_or_module(wrong):
    with pytest.raises(TypeError, match="a strategy is"):
        ghn_init.initialise(Conv(), wrong)
    with pytest.raises(TypeError, match="a strategy initialises"):
        ghn_init.initialise(wrong, "default")
