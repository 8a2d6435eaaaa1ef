import contextlib

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ghn_init.graph.skip_init import skip_init

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
        with skip_init():
            found = make()
    for kind in ("named_parameters", "named_buffers"):
        tensors = [
            {name: (t.shape, t.dtype, t.stride(), t.device.type, t.requires_grad) for name, t in getattr(one, kind)()}
            for one in (expected, found)
        ]
        assert tensors[0] == tensors[1]


def test_tensors_with_memory_are_filled():
    with skip_init():
        assert (nn.init.ones_(torch.zeros(2, 3)) == 1).all()
        assert nn.Linear(3, 4).weight.abs().sum() > 0


class Operations(TorchDispatchMode):
    """Collects the names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


FILLING = {
    "normal": nn.init.normal_,
    "zeros": nn.init.zeros_,
    "kaiming": nn.init.kaiming_uniform_,
    "xavier": nn.init.xavier_normal_,
    "timm's truncated normal": timm.layers.trunc_normal_,
    "timm's lecun": timm.layers.lecun_normal_,
    "a method": torch.Tensor.zero_,
    "arithmetic": lambda tensor: tensor.mul_(2),
}


@pytest.mark.parametrize("fill", FILLING.values(), ids=FILLING)
def test_filling_a_tensor_without_memory_is_no_work(fill):
    with torch.device("meta"):
        tensor = torch.empty(3, 4)
    for context, idle in ((contextlib.nullcontext(), False), (skip_init(), True)):
        with Operations() as operations, context:
            fill(tensor)
        assert (not operations.names) == idle
