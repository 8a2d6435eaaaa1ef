"""Convolutions whose backward step PyTorch is slow at on CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class _DilatedDepthwise(torch.autograd.Function):
    """A depthwise convolution with dilation that keeps the images' size.

    The gradient by its input is such a convolution too, of the kernel turned around; oneDNN's own backward step for
    dilated kernels takes ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _same(x, weight, dilation)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = _same(gradient, weight.flip(2, 3), ctx.dilation)
        if ctx.needs_input_grad[1]:
            padding = _same_padding(weight, ctx.dilation)
            size, wanted = (0, 0), (False, True, False)
            _, by_weight, _ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, (1, 1), padding, ctx.dilation, False, size, len(weight), wanted
            )
        return by_x, by_weight, None


def _same(x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    return F.conv2d(x, weight, None, 1, _same_padding(weight, dilation), dilation, len(weight))


def _same_padding(weight: Tensor, dilation: tuple[int, int]) -> tuple[int, int]:
    return dilation[0] * (weight.shape[2] // 2), dilation[1] * (weight.shape[3] // 2)


class FastConvolutions(TorchFunctionMode):
    """A context in which dilated depthwise convolutions have a faster backward step; the results are the same.

    For float32 on CPU, without autocast.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, or what stands in for it."""
        kwargs = kwargs or {}
        return _conv2d(*args, **kwargs) if func is F.conv2d else func(*args, **kwargs)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    steps, gaps = _pair(stride), _pair(dilation)
    if (
        gaps != (1, 1)
        and steps == (1, 1)
        and bias is None
        and groups == weight.shape[0] == input.shape[1]
        and weight.shape[2] % 2 == weight.shape[3] % 2 == 1
        and _pair(padding) == _same_padding(weight, gaps)
    ):
        result: Tensor = _DilatedDepthwise.apply(input, weight, gaps)
        return result
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _pair(value: Any) -> tuple[Any, Any]:
    first, last = (value, value) if isinstance(value, (int, str)) else (value[0], value[-1])
    return first, last
