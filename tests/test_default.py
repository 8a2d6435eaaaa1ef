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
    assert evaluation["split_test"]["mean"] > 0.5
    assert evaluation["split_test"]["networks"] >= 500
    card = (FOLDER / "README.md").read_text()
    for number in ("resnet18", "ResNet-50", "ViT", "mean", "architecture steps", "command"):
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


def test_it_predicts_tokens_layer_scale_and_relative_positions():
    for name, kind in (("vit_tiny_patch16_224", "cls_token"), ("cait_xxs24_224", "gamma_1"), ("swin_tiny", "relative")):
        model = timm.create_model(timm.list_models(f"{name}*")[0], num_classes=10)
        predicted = ghn_init.predict(model)
        assert not predicted.report.left_alone
        assert any(kind in parameter for parameter in predicted)


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


def test_what_it_has_not_learnt_is_drawn_at_random():
    """A transformer's matrices come out small and all alike from it, and hardly anything is learnt from that."""
    model = ghn_init.apply(timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=10))
    for name, weight in model.named_parameters():
        if ("attn" in name or "mlp" in name) and weight.dim() > 1:
            assert weight.square().mean().sqrt() > 0.3 * (2 / weight.shape[1]) ** 0.5
