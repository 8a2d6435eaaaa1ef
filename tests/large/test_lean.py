"""Networks built without memory for their parameters, against the same networks built whole."""

from __future__ import annotations

import threading

import pytest
import timm
import torch
from torch import nn

from ghn_init import PredictionError, lean
from ghn_init.lean import Blueprint


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.discarded = nn.Linear(4, 9)
        self.middle = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight
        del self.discarded
        self.middle.weight.special = True  # type: ignore[attr-defined]
        nn.init.constant_(self.middle.bias, 0.25)
        self.register_buffer("steps", torch.arange(5))
        self.middle.bias.requires_grad_(False)


class Computes(nn.Module):
    """Its constructor looks at values of a tensor, but not at parameters'."""

    def __init__(self) -> None:
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Dropout(rate)) for rate in rates)


class Looks(nn.Module):
    """Its constructor looks at values of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.largest = self.layer.weight.max().item()


class Derived(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("start", self.layer.weight.detach().clone())


class Fickle(nn.Module):
    built = 0

    def __init__(self) -> None:
        super().__init__()
        Fickle.built += 1
        self.layer = nn.Linear(4, 4 + Fickle.built)


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks take the way of large ones."""
    monkeypatch.setattr(lean, "WHOLE", -1)


def all_meta(module: nn.Module) -> bool:
    return all(tensor.is_meta for tensor in module.state_dict().values())


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "levit_128s"])
def test_values_of_some_parameters_and_all_buffers(name: str) -> None:
    blueprint = Blueprint(lambda: timm.create_model(name))
    assert all_meta(blueprint.skeleton)
    whole = timm.create_model(name)
    constant = {n for n, p in whole.named_parameters() if p.dim() == 1 and p.min() == p.max()}
    some = blueprint.with_values(constant)
    state = some.state_dict()
    assert list(state) == list(whole.state_dict())
    assert len(constant) > 20
    assert {n for n, p in some.named_parameters() if not p.is_meta} == constant
    for key, tensor in whole.state_dict().items():
        if key in constant or key not in dict(whole.named_parameters()):
            assert torch.equal(state[key], tensor), key
        else:
            assert state[key].shape == tensor.shape


def test_random_values_have_their_own_distribution_and_follow_the_seed() -> None:
    blueprint = Blueprint(lambda: timm.create_model("vit_tiny_patch16_224"))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(
            blueprint.with_values(["pos_embed", "blocks.3.mlp.fc1.weight"]).get_parameter("pos_embed").detach()
        )
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    whole = timm.create_model("vit_tiny_patch16_224").pos_embed.detach()
    assert float(found[0].std()) == pytest.approx(float(whole.std()), rel=0.05)


def test_tied_frozen_and_marked_parameters_and_those_that_did_not_last() -> None:
    blueprint = Blueprint(Tied)
    for names in (["embedding.weight"], ["head.weight"]):
        some = blueprint.with_values(names)
        assert some.head.weight is some.embedding.weight
        assert not some.head.weight.is_meta
        assert some.middle.weight.is_meta
        assert some.middle.weight.special
        assert not some.middle.bias.requires_grad
        assert torch.equal(some.steps, torch.arange(5))
    some = blueprint.with_values(["middle.bias"])
    assert torch.equal(some.middle.bias, torch.full((4,), 0.25))
    assert some.head.weight is some.embedding.weight
    assert some.head.weight.is_meta


def test_layers_that_are_copies_of_one() -> None:
    blueprint = Blueprint(lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3))
    some = blueprint.with_values(["layers.2.norm1.weight", "layers.1.linear1.bias"])
    assert torch.equal(some.layers[2].norm1.weight, torch.ones(8))
    assert not some.layers[1].linear1.bias.is_meta
    assert some.layers[1].linear1.weight.is_meta


def test_constructors_that_compute_with_other_tensors() -> None:
    blueprint = Blueprint(Computes)
    assert all_meta(blueprint.skeleton)
    assert [layer[1].p for layer in blueprint.skeleton.layers] == [0.0, 0.5, 1.0]


def test_constructors_that_need_values_are_given_them() -> None:
    blueprint = Blueprint(Looks)
    assert not any(parameter.is_meta for parameter in blueprint.skeleton.parameters())
    assert not any(parameter.is_meta for parameter in blueprint.with_values(["layer.bias"]).parameters())


def test_nothing_is_built_again_for_nothing() -> None:
    blueprint = Blueprint(lambda: nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)))
    assert blueprint.with_values([]) is blueprint.skeleton
    with_buffers = Blueprint(lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    assert torch.equal(with_buffers.with_values([])[1].running_var, torch.ones(3))


def test_small_networks_get_the_values_that_they_would_have_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "WHOLE", 2**27)
    torch.manual_seed(3)
    expected = timm.create_model("resnet18", num_classes=7).fc.weight.detach()
    blueprint = Blueprint(lambda: timm.create_model("resnet18", num_classes=7))
    torch.manual_seed(3)
    assert torch.equal(blueprint.with_values(["fc.weight"]).fc.weight, expected)


@pytest.mark.parametrize("kind", ["Derived", "Steals"])
def test_values_that_depend_on_others_are_an_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "WHOLE_IF_NEED_BE", -1)
    with pytest.raises(PredictionError, match=f"{kind} is too large to be built whole, and it cannot be built without"):
        Blueprint(globals()[kind]).with_values(["layer.bias"])


def test_networks_that_are_another_each_time_are_an_error() -> None:
    with pytest.raises(PredictionError, match="not built with the same parameters each time"):
        Blueprint(Fickle).with_values(["layer.bias"])


def test_other_threads_build_as_ever() -> None:
    built: list[nn.Module] = []

    def build() -> nn.Module:
        thread = threading.Thread(target=lambda: built.append(nn.Linear(2, 2)))
        thread.start()
        thread.join()
        return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))

    Blueprint(build).with_values([])
    assert len(built) == 2
    assert not any(parameter.is_meta for module in built for parameter in module.parameters())


def test_no_hook_remains() -> None:
    with pytest.raises(ZeroDivisionError):
        Blueprint(lambda: nn.Linear(2, 1 // 0))
    assert not nn.Linear(2, 2).weight.is_meta


class Follows(nn.Module):
    """Computes a table where a parameter is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("table", torch.empty(4))
        self.table.copy_(torch.arange(4, device=self.layer.weight.device))


class Steals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("start", torch.zeros(4, 4))
        self.start.copy_(self.layer.weight.detach())


def test_tables_made_where_a_parameter_is() -> None:
    blueprint = Blueprint(Follows)
    assert all_meta(blueprint.skeleton)
    some = blueprint.with_values(["layer.bias"])
    assert torch.equal(some.table, torch.arange(4.0))
    assert some.layer.weight.is_meta
    swin = Blueprint(lambda: timm.create_model("swinv2_tiny_window8_256", depths=(1, 1, 1, 1)))
    some = swin.with_values(["norm.weight"])
    whole = timm.create_model("swinv2_tiny_window8_256", depths=(1, 1, 1, 1))
    assert dict(some.named_buffers()).keys() == dict(whole.named_buffers()).keys()
    assert all(torch.equal(buffer, whole.get_buffer(name)) for name, buffer in some.named_buffers())


@pytest.mark.parametrize("kind", [Derived, Steals])
def test_networks_that_can_only_be_built_whole(kind: type[nn.Module]) -> None:
    some = Blueprint(kind).with_values(["layer.bias"])
    assert torch.equal(some.start, some.layer.weight)
