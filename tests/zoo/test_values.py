"""Traces of networks whose code asks for values of tensors, and of the inputs that it takes."""

import pytest
import torch
import torchvision
from torch import nn

import ghn_init


class Routed(nn.Module):
    """Asks in every way: masks, indices of them, unique values, numbers, overlapping boxes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.experts = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Linear(4, 3)
        self.anchors = torch.ones(1, 4, device="cpu")  # no buffer: stays on the CPU when the module is elsewhere

    def forward(self, x):
        x = self.stem(x)
        if x.isnan().any():
            raise ValueError("not a number")
        for expert in self.experts:
            rows = torch.where(x.sum(-1) > 0)[0]
            x = x.index_add(0, rows, expert(x[rows]))
        x = x[x.sum(-1) != 0] / max(x.abs().max().item(), 1)
        boxes = x + self.anchors
        kept = torchvision.ops.nms(boxes, x.sum(-1), 0.5)
        return self.head(boxes[kept]), x.masked_select(x > 0), torch.unique(x)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_questions_about_values_have_answers(device):
    module = Routed().to(device)
    graph = ghn_init.trace(module)
    assert {node.param for node in graph.nodes} >= {name for name, _ in module.named_parameters()}
    assert graph.counts()["conv"] == 4
    assert graph.left_out == {}
    assert module.anchors.device.type == "cpu"
    if device == "cpu":
        assert len(module(torch.randn(6, 4))) == 3


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 5), nn.Linear(3, 5)

    def forward(self, left, right=None, *, scale=1.0):
        left = self.left(left[0] if isinstance(left, list) else left)
        return left if right is None else (left + self.right(right)) * scale


@pytest.mark.parametrize(
    "given",
    [
        (torch.zeros(2, 4), torch.zeros(2, 3)),
        [torch.zeros(2, 4), torch.zeros(2, 3)],
        {"left": torch.zeros(2, 4), "right": torch.zeros(2, 3), "scale": 2.0},
        {"left": [torch.zeros(2, 4)] * 2, "right": torch.zeros(2, 3)},
    ],
)
def test_example_inputs_reach_their_arguments(given):
    class ShapeDependent(Two):
        def forward(self, left, right=None, *, scale=1.0):
            if len(left) == 2 and right is None:
                raise ValueError("the second argument did not come")
            return super().forward(left, right, scale=scale)

    graph = ghn_init.trace(ShapeDependent(), example_inputs=given)
    assert graph.left_out == {}
    assert graph.counts()["sum"] == 1


@pytest.mark.parametrize(
    "given", [{"middle": torch.zeros(2, 4)}, (torch.zeros(2, 4), torch.zeros(2, 3), 1.0, 2.0)], ids=["name", "number"]
)
def test_inputs_that_forward_does_not_take_are_refused(given):
    class ShapeDependent(Two):
        def forward(self, left, right=None, *, scale=1.0):
            return super().forward(left, right) if left.shape[0] == 2 else left

    with pytest.raises(ghn_init.TraceError, match=r"example_inputs.*\['left', 'right', 'scale'\]"):
        ghn_init.trace(ShapeDependent(), example_inputs=given)


def test_inputs_that_a_module_brings_are_tried():
    class Brings(nn.Module):
        dummy_inputs = {"words": torch.zeros(2, 6, dtype=torch.long), "pixels": torch.zeros(2, 6, 4)}  # noqa: RUF012

        def __init__(self):
            super().__init__()
            self.words, self.pixels = nn.Embedding(9, 8), nn.Linear(4, 8)

        def forward(self, words=None, pixels=None):
            assert words.shape[:2] == pixels.shape[:2]
            return self.words(words) + self.pixels(pixels)

    assert ghn_init.trace(Brings()).left_out == {}
