"""One small network of each family of timm, for real: predicted weights, and a forward pass with them."""

import json
from pathlib import Path

import pytest
import timm
import torch
from applied import share_changed_by_apply, use_batch_statistics

import ghn_init

FAMILIES = json.loads(Path(__file__).with_name("timm_families.json").read_text())
CLASSES = 10


def classifier_matrices(model):
    """Names of the weights of what timm calls the classifier, or the classifiers."""
    found = model.get_classifier()
    layers = [found] if isinstance(found, torch.nn.Module) else found
    wanted = {id(parameter) for layer in layers for parameter in layer.parameters() if parameter.dim() > 1}
    return [name for name, parameter in model.named_parameters() if id(parameter) in wanted]


def test_every_family_has_its_network():
    assert set(FAMILIES) == set(timm.list_modules())
    for family, spec in FAMILIES.items():
        assert timm.models.is_model_in_modules(spec["model"], [family]), f"{spec['model']} is not of {family}"


@pytest.mark.parametrize("family", FAMILIES)
def test_apply_and_forward(family):
    spec = FAMILIES[family]
    torch.manual_seed(0)
    model = timm.create_model(spec["model"], num_classes=CLASSES, **spec.get("options", {})).eval()

    assert share_changed_by_apply(model) >= 0.99
    heads = {node.param: node for node in ghn_init.trace(model).nodes if node.head}
    assert set(classifier_matrices(model)) <= set(heads)
    assert {node.shape[0] for node in heads.values()} == {CLASSES}

    with torch.no_grad():
        output = use_batch_statistics(model)(torch.randn(2, 3, spec["size"], spec["size"]))
    assert output.shape == (2, CLASSES)
    assert output.isfinite().all()
