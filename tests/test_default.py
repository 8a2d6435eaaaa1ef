"""The checkpoint that comes with the package."""

import json
from pathlib import Path

import timm
import torch
import torch.nn.functional as F

import ghn_init
from ghn_init.checkpoints import DEFAULT, known
from ghn_init.deepnets import Network, sample
from ghn_init.graph import trace

FOLDER = Path(__file__).parents[1] / "hub_configs" / "default"


def test_it_is_known_and_small():
    assert DEFAULT in known()
    assert (FOLDER / "model.safetensors").stat().st_size < 20 * 2**20


def test_its_card_says_what_was_measured():
    evaluation = json.loads((FOLDER / "config.json").read_text())["evaluation"]
    assert evaluation["unseen_random_networks_100"]["top1_mean"] > 0.25
    card = (FOLDER / "README.md").read_text()
    for number in ("resnet18 top1", "resnet50 top1", "top1 mean", "architecture steps", "command"):
        assert number in card


def test_it_initialises_timms_resnet50_without_network_access(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = timm.create_model("resnet50")
    prediction = ghn_init.predict(model)
    assert prediction.report.checkpoint == "default"
    assert set(prediction.report.left_alone) == {"fc.weight", "fc.bias"}  # 1000 classes, not 10
    prediction.load_into(model)
    logits = model.train()(torch.randn(2, 3, 64, 64))
    assert torch.isfinite(logits).all()


def test_its_predictions_are_no_random_weights():
    """A network with predicted weights tells apart images that differ; gradients reach all of it."""
    network = Network(sample("test", 0))
    ghn_init.apply(network)
    logits = network(torch.randn(8, 3, 32, 32))
    F.cross_entropy(logits, torch.arange(8)).backward()
    assert logits.std(dim=0).min() > 1e-3
    assert all(
        parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in network.parameters()
    )
    assert not trace(network).left_out
