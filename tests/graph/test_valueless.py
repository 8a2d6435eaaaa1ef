import pytest
import timm
import torch
import torchvision
from torch import nn

from ghn_init.graph.valueless import Valueless

MODELS = {
    "resnet18": lambda: timm.create_model("resnet18"),
    "vit": lambda: timm.create_model("vit_tiny_patch16_224"),
    "convnext": lambda: timm.create_model("convnext_atto"),
    "swin": lambda: timm.create_model("swin_tiny_patch4_window7_224"),
    "torchvision's mobilenet": lambda: torchvision.models.mobilenet_v3_small(),
    "lstm": lambda: nn.LSTM(4, 8),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_modules_have_the_same_tensors_without_their_values(make):
    with torch.device("meta"):
        expected = make()
        with Valueless():
            found = make()
    for kind in ("named_parameters", "named_buffers"):
        tensors = [
            {name: (t.shape, t.dtype, t.stride(), t.device.type, t.requires_grad) for name, t in getattr(one, kind)()}
            for one in (expected, found)
        ]
        assert tensors[0] == tensors[1]


def test_tensors_with_memory_are_filled():
    with Valueless():
        assert (nn.init.ones_(torch.zeros(2, 3)) == 1).all()
        assert nn.Linear(3, 4).weight.abs().sum() > 0


def test_the_values_that_are_not_drawn_were_the_work(monkeypatch):
    calls = []
    normal = torch.Tensor.normal_
    monkeypatch.setattr(torch.Tensor, "normal_", lambda *args, **kwargs: calls.append(args) or normal(*args, **kwargs))
    with torch.device("meta"), Valueless():
        nn.init.normal_(torch.empty(3))
        nn.init.trunc_normal_(torch.empty(3), std=0.02)
    assert not calls
