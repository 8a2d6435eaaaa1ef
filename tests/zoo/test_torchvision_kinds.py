"""One small network of torchvision for each kind of task: predicted weights, and a forward pass with them."""

from collections.abc import Iterator

import pytest
import torch
import torchvision
from applied import share_changed_by_apply, use_batch_statistics

from ghn_init.zoo import find_model

# name, options, inputs of forward, shapes of all outputs
KINDS = {
    "classification": ("shufflenet_v2_x0_5", {"num_classes": 10}, [(2, 3, 64, 64)], [(2, 10)]),
    "segmentation": ("lraspp_mobilenet_v3_large", {"num_classes": 5}, [(2, 3, 64, 64)], [(2, 5, 64, 64)]),
    "video": ("mc3_18", {"num_classes": 10}, [(2, 3, 4, 32, 32)], [(2, 10)]),
    "optical_flow": ("raft_small", {}, [(2, 3, 128, 128)] * 2, [(2, 2, 128, 128)] * 12),
    "quantization": ("quantized_mobilenet_v2", {"num_classes": 10}, [(2, 3, 64, 64)], [(2, 10)]),
}


def tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


def test_every_kind_is_covered():
    kinds = set()
    for name in torchvision.models.list_models():
        parts = torchvision.models.get_model_builder(name).__module__.split(".")
        kinds.add(parts[2] if len(parts) > 3 else "classification")
    assert kinds == {*KINDS, "detection"}


@pytest.mark.parametrize("kind", KINDS)
def test_apply_and_forward(kind):
    name, options, inputs, outputs = KINDS[kind]
    torch.manual_seed(0)
    model = find_model(f"torchvision:{name}").build(**options).eval()

    assert share_changed_by_apply(model) >= 0.99

    with torch.no_grad():
        found = list(tensors(use_batch_statistics(model)(*(torch.randn(shape) for shape in inputs))))
    assert [tuple(tensor.shape) for tensor in found] == outputs
    assert all(tensor.isfinite().all() for tensor in found)


def test_apply_and_losses_of_a_detector():
    torch.manual_seed(0)
    model = find_model("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn").build(num_classes=10).eval()

    assert share_changed_by_apply(model) >= 0.99

    target = {"boxes": torch.tensor([[10.0, 10.0, 50.0, 60.0]]), "labels": torch.tensor([3])}
    losses = model.train()([torch.rand(3, 64, 80), torch.rand(3, 80, 64)], [target, target])
    assert sorted(losses) == ["loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"]
    assert all(loss.isfinite() for loss in losses.values())
