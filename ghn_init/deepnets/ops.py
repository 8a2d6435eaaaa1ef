"""The operations of a cell as modules that `torch.fx` traces symbolically."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8


def norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    """A batch norm that uses the statistics of the batch, or nothing."""
    return [nn.BatchNorm2d(channels, track_running_stats=False)] if batch_norm else []


@dataclasses.dataclass(frozen=True)
class Shape:
    """What an operation must know: channels in and out, stride, and whether to add batch norm."""

    inputs: int
    outputs: int
    stride: int = 1
    batch_norm: bool = True


def relu_conv(shape: Shape, kernel: int) -> nn.Sequential:
    """ReLU, convolution, norm."""
    conv = nn.Conv2d(shape.inputs, shape.outputs, kernel, shape.stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, *norm(shape.outputs, shape.batch_norm))


def relu_conv_rows_columns(shape: Shape, kernel: int) -> nn.Sequential:
    """ReLU, a convolution along rows, one along columns, norm (Szegedy et al., 2016)."""
    half, stride = kernel // 2, shape.stride
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(shape.inputs, shape.inputs, (1, kernel), (1, stride), padding=(0, half), bias=False),
        nn.Conv2d(shape.inputs, shape.outputs, (kernel, 1), (stride, 1), padding=(half, 0), bias=False),
        *norm(shape.outputs, shape.batch_norm),
    )


def _depthwise(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = kernel // 2 * dilation
    return nn.Conv2d(
        channels, channels, kernel, stride, padding=padding, dilation=dilation, groups=channels, bias=False
    )


def separable(shape: Shape, kernel: int) -> nn.Sequential:
    """Two depthwise separable convolutions, each with ReLU before and norm after (Liu et al., 2019)."""
    return nn.Sequential(
        nn.ReLU(),
        _depthwise(shape.inputs, kernel, shape.stride),
        nn.Conv2d(shape.inputs, shape.inputs, 1, bias=False),
        *norm(shape.inputs, shape.batch_norm),
        nn.ReLU(),
        _depthwise(shape.inputs, kernel),
        nn.Conv2d(shape.inputs, shape.outputs, 1, bias=False),
        *norm(shape.outputs, shape.batch_norm),
    )


def dilated(shape: Shape, kernel: int) -> nn.Sequential:
    """One depthwise separable convolution with dilation 2."""
    return nn.Sequential(
        nn.ReLU(),
        _depthwise(shape.inputs, kernel, shape.stride, dilation=2),
        nn.Conv2d(shape.inputs, shape.outputs, 1, bias=False),
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


class FactorizedReduce(nn.Module):
    """Halve the resolution by two 1x1 convolutions of stride 2, the second one shifted by a pixel."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        half = shape.outputs // 2
        self.even = nn.Conv2d(shape.inputs, half, 1, 2, bias=False)
        self.odd = nn.Conv2d(shape.inputs, half, 1, 2, bias=False)
        self.norm = nn.Sequential(*norm(shape.outputs, shape.batch_norm))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, h, w) to (batch, outputs, ceil(h/2), ceil(w/2))."""
        x = F.relu(x)
        # shifting by padding keeps odd sizes right
        shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))  # type: ignore[no-any-return]


class SqueezeExcitation(nn.Module):
    """Rescale channels by what a two-layer perceptron makes of their means (Hu et al., 2018)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.inputs != shape.outputs:
            raise ValueError(f"squeeze-and-excitation keeps the width: {shape.inputs} in, {shape.outputs} out")
        self.squeeze = nn.Linear(shape.inputs, shape.inputs // 2)
        self.excite = nn.Linear(shape.inputs // 2, shape.inputs)
        self.stride = shape.stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) to the same at the stride."""
        scale = F.hardswish(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return x * scale[:, :, None, None]


def _split(x: Tensor) -> Tensor:
    """(batch, tokens, width) to (batch, heads, tokens, width / heads)."""
    return torch.unflatten(x, 2, (HEADS, -1)).transpose(1, 2)


class Attention(nn.Module):
    """A transformer block on the pixels of a feature map (Dosovitskiy et al., 2021), 8 heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.inputs != shape.outputs:
            raise ValueError(f"self-attention keeps the width: {shape.inputs} in, {shape.outputs} out")
        width = shape.inputs
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) to the same."""
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.qkv(self.norm1(tokens)).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(_split(query), _split(key), _split(value)).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(mixed)
        tokens = tokens + self.project(F.gelu(self.hidden(self.norm2(tokens))))
        result: Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return result


class PositionTable(nn.Module):
    """Add a learned table of (1, channels, side, side)."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(1, channels, side, side))

    def forward(self, x: Tensor) -> Tensor:
        """Add the table to `x`, (batch, channels, side, side)."""
        return x + self.weight


def _max_pool(shape: Shape) -> nn.Module:
    return nn.MaxPool2d(3, shape.stride, padding=1)


def _avg_pool(shape: Shape) -> nn.Module:
    return nn.AvgPool2d(3, shape.stride, padding=1, count_include_pad=False)


def _skip(shape: Shape) -> nn.Module:
    return nn.Identity() if shape.stride == 1 else FactorizedReduce(shape)


#: How each primitive but 'none' is built.
BUILDERS: dict[str, Callable[[Shape], nn.Module]] = {
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _avg_pool,
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
    "msa": Attention,
    "cse": SqueezeExcitation,
}
