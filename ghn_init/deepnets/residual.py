"""The residual blocks of torchvision as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from ghn_init.deepnets.fragment import Draft, Extent, Part, below
from ghn_init.deepnets.layers import BatchNorm, Conv, square

Stack = Literal["plain", "basic", "bottleneck"]
RESIDUAL: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


@dataclasses.dataclass(frozen=True, slots=True)
class Residual:
    """A residual block.

    Attributes:
        block: "basic" or "bottleneck".
        inputs: channels in.
        width: inner channels.
        stride: of the block.
    """

    block: Stack
    inputs: int
    width: int
    stride: int

    @property
    def outputs(self) -> int:
        """Channels out."""
        return int(self.width * RESIDUAL[self.block].expansion)

    @property
    def convolutions(self) -> tuple[Conv, ...]:
        """The convolutions of the inner way, in order."""
        inputs, width, outputs = self.inputs, self.width, self.outputs
        if self.block == "basic":
            return square(inputs, width, 3, self.stride), square(width, width, 3)
        return square(inputs, width, 1), square(width, width, 3, self.stride), square(width, outputs, 1)

    @property
    def shortcut(self) -> Conv | None:
        """The convolution of the outer way where the shapes differ."""
        if self.stride == 1 and self.inputs == self.outputs:
            return None
        return square(self.inputs, self.outputs, 1, self.stride)

    def module(self) -> nn.Module:
        """The block as a module."""
        outer = self.shortcut
        downsample = None if outer is None else nn.Sequential(outer.module(), _batch_norm(self.outputs))
        make: Callable[..., nn.Module] = RESIDUAL[self.block]
        return make(self.inputs, self.width, self.stride, downsample, norm_layer=_batch_norm)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the block's nodes: see `Layer.draw`."""
        inner, after = feed, extent
        for number, conv in enumerate(self.convolutions, 1):
            inner, after = conv.draw(draft, below(path, f"conv{number}"), inner, after)
            inner, after = BatchNorm(conv.outputs).draw(draft, below(path, f"bn{number}"), inner, after)
        outer = feed
        if self.shortcut is not None:
            outer, _ = self.shortcut.draw(draft, below(path, "downsample.0"), outer, extent)
            outer, _ = BatchNorm(self.outputs).draw(draft, below(path, "downsample.1"), outer, after)
        return draft.add(Part("sum", (inner, outer), op="add")), after


def _batch_norm(channels: int) -> nn.Module:
    return BatchNorm(channels).module()
