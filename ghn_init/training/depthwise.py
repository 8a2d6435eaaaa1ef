"""Depthwise convolutions on CPU whose own kernels are slow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def of_one_pixel(x: Tensor, weight: Tensor) -> Tensor:
    """A depthwise convolution of images of one pixel that keeps their size: all but the kernel's centre meets zeros.

    oneDNN takes as long for it as for the whole kernel on many pixels.

    Args:
        x: (n, channels, 1, 1).
        weight: (channels, 1, odd, odd).
    """
    return x * weight[:, 0, weight.shape[2] // 2, weight.shape[3] // 2, None, None]


class Dilated(torch.autograd.Function):
    """A depthwise convolution with dilation that keeps the images' size.

    The gradient by its input is such a convolution too, of the kernel turned around; oneDNN's own backward step for
    dilated kernels takes ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
        """The convolution of `x`, (n, channels, h, w), with `weight`, (channels, 1, odd, odd)."""
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _same(x, weight, dilation)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The gradients by `x` and `weight`, where they are needed."""
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = _same(gradient, weight.flip(2, 3), ctx.dilation)
        if ctx.needs_input_grad[1]:
            padding = same_padding(weight, ctx.dilation)
            size, wanted = (0, 0), (False, True, False)
            _, by_weight, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, (1, 1), padding, ctx.dilation, False, size, len(weight), wanted
            )
        return by_x, by_weight, None


def _same(x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    return F.conv2d(x, weight, None, 1, same_padding(weight, dilation), dilation, len(weight))


def same_padding(weight: Tensor, dilation: tuple[int, int]) -> tuple[int, int]:
    """Zeros on each side that keep an image's size at stride 1, for odd kernels."""
    return dilation[0] * (weight.shape[2] // 2), dilation[1] * (weight.shape[3] // 2)
