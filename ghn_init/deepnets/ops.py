"""The operations of a cell: as modules that `torch.fx` traces symbolically, and as fragments of graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ghn_init.deepnets.attention import Transformer
from ghn_init.deepnets.fragment import Draft, Extent, Part, below
from ghn_init.deepnets.layers import RELU, Conv, Layer, Linear, Pass, Pool, Sequence, Shape, norm, square


def relu_conv(shape: Shape, kernel: int) -> Sequence:
    """ReLU, convolution, norm."""
    conv = square(shape.inputs, shape.outputs, kernel, shape.stride)
    return (RELU, conv, *norm(shape.outputs, shape.batch_norm))


def relu_conv_rows_columns(shape: Shape, kernel: int) -> Sequence:
    """ReLU, a convolution along rows, one along columns, norm (Szegedy et al., 2016)."""
    return (
        RELU,
        Conv(shape.inputs, shape.inputs, (1, kernel), (1, shape.stride)),
        Conv(shape.inputs, shape.outputs, (kernel, 1), (shape.stride, 1)),
        *norm(shape.outputs, shape.batch_norm),
    )


def dilated(shape: Shape, kernel: int) -> Sequence:
    """One depthwise separable convolution with dilation 2."""
    return _depthwise_separable(shape, kernel, dilation=2)


def separable(shape: Shape, kernel: int) -> Sequence:
    """Two depthwise separable convolutions, each with ReLU before and norm after (Liu et al., 2019)."""
    inner = dataclasses.replace(shape, outputs=shape.inputs)
    return _depthwise_separable(inner, kernel) + _depthwise_separable(dataclasses.replace(shape, stride=1), kernel)


def _depthwise_separable(shape: Shape, kernel: int, dilation: int = 1) -> Sequence:
    channels = shape.inputs
    return (
        RELU,
        square(channels, channels, kernel, shape.stride, dilation=dilation, groups=channels),
        square(channels, shape.outputs, 1),
        *norm(shape.outputs, shape.batch_norm),
    )


class Subsample(nn.Module):
    """Every `stride`-th row and column of (batch, channels, height, width)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Subsample `x`."""
        return x[:, :, :: self.stride, :: self.stride]


@dataclasses.dataclass(frozen=True, slots=True)
class Reduction:
    """`FactorizedReduce` as data."""

    shape: Shape

    @property
    def half(self) -> Conv:
        """One of its two convolutions."""
        return square(self.shape.inputs, self.shape.outputs // 2, 1, 2)

    def module(self) -> nn.Module:
        """The operation as a module."""
        return FactorizedReduce(self.shape)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the operation's nodes: see `Layer.draw`."""
        even, after = self.half.draw(draft, below(path, "even"), feed, extent)
        odd, _ = self.half.draw(draft, below(path, "odd"), feed, extent)
        result = draft.add(Part("concat", (even, odd), op="cat"))
        for layer in norm(self.shape.outputs, self.shape.batch_norm):
            result, _ = layer.draw(draft, below(path, "norm.0"), result, after)
        return result, after


class FactorizedReduce(nn.Module):
    """Halve the resolution by two 1x1 convolutions of stride 2, the second one shifted by a pixel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        half = Reduction(shape).half
        self.even = half.module()
        self.odd = half.module()
        self.norm = nn.Sequential(*(layer.module() for layer in norm(shape.outputs, shape.batch_norm)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, h, w) to (batch, outputs, ceil(h/2), ceil(w/2))."""
        x = F.relu(x)
        # shifting by padding keeps odd sizes right
        shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))  # type: ignore[no-any-return]


@dataclasses.dataclass(frozen=True, slots=True)
class Excitation:
    """`SqueezeExcitation` as data."""

    shape: Shape

    @property
    def linears(self) -> tuple[Linear, Linear]:
        """Its two layers."""
        width = self.shape.inputs
        return Linear(width, width // 2), Linear(width // 2, width)

    def module(self) -> nn.Module:
        """The operation as a module."""
        return SqueezeExcitation(self.shape)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the operation's nodes, the mean not among them: see `Layer.draw`."""
        squeeze, excite = self.linears
        gate, _ = squeeze.draw(draft, below(path, "squeeze"), feed, Extent.ONE)
        gate, _ = excite.draw(draft, below(path, "excite"), gate, Extent.ONE)
        after = extent if self.shape.stride == 1 else Extent.OUTPUT
        return draft.add(Part("cse", (feed, gate), op="mul", extent=extent, work=2 * self.shape.inputs)), after


class SqueezeExcitation(nn.Module):
    """Rescale channels by what a two-layer perceptron makes of their means (Hu et al., 2018)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.inputs != shape.outputs:
            raise ValueError(f"squeeze-and-excitation keeps the width: {shape.inputs} in, {shape.outputs} out")
        self.squeeze, self.excite = (linear.module() for linear in Excitation(shape).linears)
        self.stride = shape.stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) to the same at the stride."""
        scale = F.hardswish(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return x * scale[:, :, None, None]


def _pool(node_type: str) -> Callable[[Shape], Layer]:
    return lambda shape: Pool(node_type, shape.inputs, 3, shape.stride, 1)


def _skip(shape: Shape) -> Layer:
    return Pass(nn.Identity) if shape.stride == 1 else Reduction(shape)


#: What each primitive but 'none' is.
OPERATIONS: dict[str, Callable[[Shape], Layer | Sequence]] = {
    "max_pool_3x3": _pool("max_pool"),
    "avg_pool_3x3": _pool("avg_pool"),
    "skip": _skip,
    "sep_conv_3x3": lambda shape: separable(shape, 3),
    "sep_conv_5x5": lambda shape: separable(shape, 5),
    "dil_conv_3x3": lambda shape: dilated(shape, 3),
    "dil_conv_5x5": lambda shape: dilated(shape, 5),
    "conv_1x1": lambda shape: relu_conv(shape, 1),
    "conv_7x1_1x7": lambda shape: relu_conv_rows_columns(shape, 7),
    "conv_3x3": lambda shape: relu_conv(shape, 3),
    "conv_5x5": lambda shape: relu_conv(shape, 5),
    "conv_7x7": lambda shape: relu_conv(shape, 7),
    "msa": Transformer,
    "cse": Excitation,
}
