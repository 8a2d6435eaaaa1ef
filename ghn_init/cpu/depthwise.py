"""Depthwise convolutions on CPU whose own kernels are slow."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

#: Of height and width.
Pair: TypeAlias = tuple[int, int]

#: Columns of a kernel whose gradient oneDNN computes by its fast way: that of 3 takes a tenth of the time of that of 4.
FAST_COLUMNS = 3

_ONE = (1, 1)


def is_odd(weight: Tensor) -> bool:
    """Whether the kernels have a centre."""
    return weight.shape[2] % 2 == weight.shape[3] % 2 == 1


def same_padding(weight: Tensor, dilation: Pair) -> Pair:
    """Zeros on each side that keep an image's size at stride 1, for odd kernels."""
    return dilation[0] * (weight.shape[2] // 2), dilation[1] * (weight.shape[3] // 2)


def keeps_size(weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> bool:
    """Whether images stay as large as they are, by as many zeros on each side."""
    return is_odd(weight) and stride == _ONE and padding == same_padding(weight, dilation)


def of_one_pixel(x: Tensor, weight: Tensor) -> Tensor:
    """A depthwise convolution of images of one pixel that keeps their size: all but the kernel's centre meets zeros.

    oneDNN takes as long for it as for the whole kernel on many pixels.

    Args:
        x: (n, channels, 1, 1).
        weight: (channels, 1, odd, odd).
    """
    return x * weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2, None, None]


class Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients are computed by what oneDNN is fast at.

    The gradient by the input of a dilated one that keeps the images' size is such a convolution too, of the kernel
    turned around; the backward step for dilated kernels takes ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        """The convolution of `x`, (n, channels, h, w), with `weight`, (channels, 1, kernel height, kernel width)."""
        ctx.save_for_backward(x, weight)
        ctx.steps = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """The gradients by `x` and `weight`, where they are needed."""
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.steps
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            if dilation != _ONE and keeps_size(weight, stride, padding, dilation):
                by_x = F.conv2d(gradient, weight.flip(2, 3), None, _ONE, padding, dilation, len(weight))
            else:
                by_x = _native(gradient, x, weight, stride, padding, dilation, of=0)
        if ctx.needs_input_grad[1]:
            by_weight = _by_weight(gradient, x, weight, stride, padding, dilation)
        return by_x, by_weight, None, None, None


def _by_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The gradient by the kernels; of `weight` only the shape counts."""
    if dilation != _ONE and keeps_size(weight, stride, padding, dilation):
        # each pixel meets those of its own phase only
        x, gradient = _phases(x, dilation), _phases(gradient, dilation)
        padding, dilation = same_padding(weight, _ONE), _ONE
    columns = weight.shape[3]
    wide_enough = gradient.shape[3] > columns > FAST_COLUMNS
    if dilation != _ONE or not wide_enough:
        return _native(gradient, x, weight, stride, padding, dilation, of=1)
    strips = []
    for first in range(0, columns, FAST_COLUMNS):
        strip = weight[..., first : first + FAST_COLUMNS]
        left = padding[1] - first
        width = (gradient.shape[3] - 1) * stride[1] + strip.shape[3]
        shifted = F.pad(x, (left, width - left - x.shape[3]))
        strips.append(_native(gradient, shifted, strip, stride, (padding[0], 0), _ONE, of=1))
    return torch.cat(strips, dim=3)


def _phases(x: Tensor, step: Pair) -> Tensor:
    """Every n-th pixel, for each place to begin at, as images of their own.

    Args:
        x: (n, channels, h, w).
        step: n for rows and columns; what is missing to a multiple of it is filled with zeros.

    Returns:
        (n * step[0] * step[1], channels, ceil(h / step[0]), ceil(w / step[1])), channels last.
    """
    missing = (-x.shape[2] % step[0], -x.shape[3] % step[1])
    if any(missing):
        x = F.pad(x, (0, missing[1], 0, missing[0]))
    count, channels, height, width = x.shape
    rows, columns = height // step[0], width // step[1]
    pixels = x.permute(0, 2, 3, 1).reshape(count, rows, step[0], columns, step[1], channels)
    return pixels.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, *, of: int
) -> Tensor:
    """PyTorch's own gradient by the input (`of` 0) or the kernels (1)."""
    wanted = (of == 0, of == 1, False)
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, (0, 0), len(weight), wanted
    )
    return found[of]
