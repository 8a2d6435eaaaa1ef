"""Layers as data: each says how it is built and what its part of the graph is."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

from torch import nn

from ghn_init.deepnets.fragment import Draft, Extent, Part


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What an operation must know: channels in and out, stride, and whether to add batch norm."""

    inputs: int
    outputs: int
    stride: int = 1
    batch_norm: bool = True


class Layer(Protocol):
    """A layer of a sequence: a frozen dataclass."""

    def __hash__(self) -> int: ...

    def module(self) -> nn.Module:
        """The layer as a module."""
        ...

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's parts to a draft.

        Args:
            draft: what to add to.
            path: of the module.
            feed: the part that feeds the layer.
            extent: of the layer's input.

        Returns:
            The part of the result, and the extent of the output.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Conv:
    """A convolution without bias that keeps the resolution, or divides it by the stride.

    Attributes:
        inputs: channels in.
        outputs: channels out.
        kernel: height and width.
        stride: down and along.
        dilation: of the kernel.
        groups: of channels.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def type(self) -> str:
        """Node type."""
        if self.groups == 1:
            return "conv"
        return "dil_conv" if self.dilation > 1 else "sep_conv"

    def module(self) -> nn.Module:
        """The layer as a module."""
        padding = (self.kernel[0] // 2 * self.dilation, self.kernel[1] // 2 * self.dilation)
        return nn.Conv2d(
            self.inputs,
            self.outputs,
            self.kernel,
            self.stride,
            padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=False,
        )

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's node: see `Layer.draw`."""
        shape = (self.outputs, self.inputs // self.groups, *self.kernel)
        after = Extent.OUTPUT if max(self.stride) > 1 else extent
        part = Part(self.type, (feed,), path, "weight", shape, extent=after, work=math.prod(shape))
        return draft.add(part), after


def square(inputs: int, outputs: int, kernel: int, stride: int = 1, *, dilation: int = 1, groups: int = 1) -> Conv:
    """A convolution with a square kernel."""
    return Conv(inputs, outputs, (kernel, kernel), (stride, stride), dilation, groups)


@dataclasses.dataclass(frozen=True, slots=True)
class BatchNorm:
    """A batch norm that uses the statistics of the batch."""

    channels: int

    def module(self) -> nn.Module:
        """The layer as a module."""
        return nn.BatchNorm2d(self.channels, track_running_stats=False)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's node: see `Layer.draw`."""
        return draft.add(_norm("bn", self.channels, path, feed, extent)), extent


@dataclasses.dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm over the last dimension."""

    channels: int

    def module(self) -> nn.Module:
        """The layer as a module."""
        return nn.LayerNorm(self.channels)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's node: see `Layer.draw`."""
        return draft.add(_norm("ln", self.channels, path, feed, extent)), extent


@dataclasses.dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer on the last dimension."""

    inputs: int
    outputs: int
    bias: bool = True

    def module(self) -> nn.Module:
        """The layer as a module."""
        return nn.Linear(self.inputs, self.outputs, bias=self.bias)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's nodes: see `Layer.draw`."""
        shape = (self.outputs, self.inputs)
        feed = draft.add(Part("conv", (feed,), path, "weight", shape, extent=extent, work=math.prod(shape)))
        if self.bias:
            feed = draft.add(Part("bias", (feed,), path, "bias", shape[:1], extent=extent, work=self.outputs))
        return feed, extent


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """A pooling over a square window.

    Attributes:
        type: node type, "max_pool" or "avg_pool".
        channels: of the input.
        window: side.
        stride: of the window.
        padding: on each side.
    """

    type: str
    channels: int
    window: int
    stride: int
    padding: int

    def module(self) -> nn.Module:
        """The layer as a module."""
        if self.type == "max_pool":
            return nn.MaxPool2d(self.window, self.stride, self.padding)
        return nn.AvgPool2d(self.window, self.stride, self.padding, count_include_pad=False)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's node: see `Layer.draw`."""
        after = Extent.OUTPUT if self.stride > 1 else extent
        work = self.channels * self.window**2
        part = Part(self.type, (feed,), path, shape=(1, 1, self.window, self.window), extent=after, work=work)
        return draft.add(part), after


@dataclasses.dataclass(frozen=True, slots=True)
class GlobalPool:
    """The mean over all places."""

    def module(self) -> nn.Module:
        """The layer as a module."""
        return nn.AdaptiveAvgPool2d(1)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's node: see `Layer.draw`."""
        return draft.add(Part("glob_avg", (feed,), path)), Extent.ONE


@dataclasses.dataclass(frozen=True, slots=True)
class Pass:
    """A layer without a node, by its class and arguments: an activation, dropout, flattening.

    Attributes:
        make: class of the module.
        arguments: of its constructor.
        extent: of the output, where it is not that of the input.
    """

    make: type[nn.Module]
    arguments: tuple[float, ...] = ()
    extent: Extent | None = None

    def module(self) -> nn.Module:
        """The layer as a module."""
        return self.make(*self.arguments)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds nothing: see `Layer.draw`."""
        return feed, extent if self.extent is None else self.extent


RELU = Pass(nn.ReLU)
Sequence = tuple[Layer, ...]


def norm(channels: int, batch_norm: bool) -> Sequence:
    """A batch norm, or nothing."""
    return (BatchNorm(channels),) if batch_norm else ()


def _norm(kind: str, channels: int, path: str, feed: int, extent: Extent) -> Part:
    """The node of a norm: its weight, which its bias rides on."""
    return Part(kind, (feed,), path, "weight", (channels,), "bias", extent=extent, work=2 * channels)
