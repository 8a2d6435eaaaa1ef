import dataclasses

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ghn_init.deepnets import sample, timm_architecture
from ghn_init.graph import trace
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training import entries
from ghn_init.training.architectures import Drawn
from ghn_init.training.entries import CACHED, Entries, make_entry

CONFIG = GHNConfig(max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def ghn():
    torch.manual_seed(0)
    return GHN(CONFIG).eval()


@pytest.mark.parametrize("index", range(6))
def test_a_skeleton_with_predictions_computes_what_the_network_does(ghn, index):
    architecture = sample("train", index)
    entry = make_entry(architecture, 32, config=CONFIG)
    assert all(parameter.is_meta for parameter in entry.skeleton.parameters())
    with torch.no_grad():
        predicted = ghn(entry.graph)
        network = architecture.build()
        network.load_state_dict(ghn(trace(network)))
        images = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(functional_call(entry.skeleton, predicted, (images,)), network(images))


@pytest.mark.parametrize("index", range(12))
def test_timms_models_run_with_what_is_predicted_and_their_own_values_elsewhere(ghn, index):
    architecture = timm_architecture(index)
    size = 32
    entry = make_entry(architecture, size, config=CONFIG)
    with torch.no_grad():
        predicted = ghn(entry.graph)
        images = torch.randn(4, 3, size, size)
        logits = functional_call(entry.skeleton, predicted, (images,))
        # on another path: the module with memory for everything, loaded by name
        network = architecture.build(10, size)
        own = {name: value for name, value in entry.skeleton.named_parameters() if not value.is_meta}
        assert predicted.keys() | own.keys() == dict(network.named_parameters()).keys()
        network.load_state_dict({**predicted, **own}, strict=False)
        torch.testing.assert_close(logits, network(images))
    assert logits.shape == (4, 10)


REPEATING = {
    "conv": CONFIG,
    "mlp": dataclasses.replace(CONFIG, decoder="mlp"),
    "lowrank": dataclasses.replace(CONFIG, decoder="lowrank", rank=4),
}


@pytest.mark.parametrize("decoder", REPEATING)
def test_predicted_weights_repeat_after_their_periods(decoder, monkeypatch):
    monkeypatch.setattr(entries, "WORTHWHILE", 0.0)
    config, repeats = REPEATING[decoder], 0
    ghn = GHN(config).eval()
    for architecture in (*(sample("train", index) for index in range(4)), *map(timm_architecture, range(8))):
        entry = make_entry(architecture, 32, config=config)
        with torch.no_grad():
            predicted = ghn(entry.graph)
        for name, (rows, columns) in entry.periods.items():
            weight = predicted[name]
            assert torch.equal(weight[rows:], weight[: len(weight) - rows])
            if weight.dim() > 1:
                assert torch.equal(weight[:, columns:], weight[:, : weight.shape[1] - columns])
            repeats += rows < len(weight) or (weight.dim() > 1 and columns < weight.shape[1])
    assert repeats > 100


def test_only_networks_that_it_saves_much_for_have_periods():
    wide, narrow = (make_entry(sample("train", 0).with_width(width), 32, config=CONFIG) for width in (64, 8))
    assert wide.periods.keys() == dict(wide.skeleton.named_parameters()).keys()
    assert not narrow.periods
    large = make_entry(sample("train", 0).with_width(64), 32, config=GHNConfig(max_shape=(512, 512, 3, 3)))
    assert not large.periods


def test_values_of_what_is_not_predicted_are_the_same_every_time():
    found = []
    for index in range(40):
        architecture = timm_architecture(index)
        first, second = (
            {name: value for name, value in entry.skeleton.named_parameters() if not value.is_meta}
            for entry in (make_entry(architecture, 32, config=CONFIG) for _ in range(2))
        )
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        found += first
        if found:
            return
    pytest.fail("no architecture has parameters that the 15 node types do not cover")


class TiedNetwork(nn.Module):
    """Two layers of one weight, between parameters and a buffer that no GHN predicts."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.first, self.second = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.second.weight = self.first.weight
        self.slope = nn.PReLU()
        self.register_buffer("scale", torch.tensor(2.0))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.slope(self.first(self.stem(x))) * self.scale
        return self.fc(self.second(x).mean((2, 3)))


@dataclasses.dataclass(frozen=True)
class TiedArchitecture:
    fixed_resolution = False

    def build(self, num_classes=10, image_size=32):
        return TiedNetwork().eval()

    def graph(self, num_classes=10, image_size=32):
        return trace(self.build())

    def cost(self, image_size=32):
        return 1.0

    load = cost


def test_tied_parameters_of_ones_own_architecture_stay_tied(ghn):
    entry = make_entry(TiedArchitecture(), 32, config=CONFIG)
    assert entry.skeleton.second.weight is entry.skeleton.first.weight
    assert not entry.skeleton.slope.weight.is_meta
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        predicted = ghn(entry.graph)
        network = entry.architecture.build()
        assert network.load_state_dict(predicted, strict=False).missing_keys == [
            "scale",
            "second.weight",
            "slope.weight",
        ]
        torch.testing.assert_close(functional_call(entry.skeleton, predicted, (x,)), network(x))


def test_entries_are_kept_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("ghn_init.training.entries.CACHED", 2)
    assert CACHED > 2
    entries = Entries(CONFIG)
    drawn = [Drawn(f"test/{index}", sample("test", index), 32) for index in range(3)]
    first = entries[drawn[0]]
    assert entries[drawn[0]] is first
    assert entries[drawn[1]] is not first
    assert entries[drawn[0]] is first
    assert entries[drawn[2]] is not None
    assert entries[drawn[0]] is first, "the one used last stays"
    assert len(entries._kept) == 2
