"""Convolutions that PyTorch is slow at on CPU, done in other ways with the same results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ghn_init.cpu import depthwise
from ghn_init.cpu.depthwise import Depthwise, Pair

_ONE, _NONE = (1, 1), (0, 0)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The arguments of `torch.nn.functional.conv2d` but the bias, (height, width) each."""

    x: Tensor
    weight: Tensor
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a kernel of its own, and one output."""
        return 1 < self.groups == self.weight.shape[0] == self.x.shape[1]

    @property
    def channels_last(self) -> bool:
        """Whether the images lie in memory pixel by pixel."""
        return self.x.is_contiguous(memory_format=torch.channels_last)

    def __call__(self) -> Tensor:
        """The result, by the first of the ways that fits."""
        for way in _WAYS:
            found = way(self)
            if found is not None:
                return found
        return F.conv2d(self.x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)


def _subsampled(conv: Convolution) -> Tensor | None:
    """A convolution that only ever meets every n-th pixel, as one of these pixels.

    oneDNN's backward step for a depthwise kernel with stride 2 and dilation 2 takes 20 times as long.
    """
    pixel = conv.weight.shape[2:] == _ONE
    met = conv.stride if pixel else conv.dilation
    outside = any(side % step for side, step in zip(conv.padding, met, strict=True))
    if conv.stride != met or met == _ONE or outside or (pixel and conv.padding != _NONE):
        return None
    rest = (conv.padding[0] // met[0], conv.padding[1] // met[1])
    x = conv.x[:, :, :: met[0], :: met[1]]
    if conv.channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return dataclasses.replace(conv, x=x, stride=_ONE, padding=rest, dilation=_ONE)()


def _as_product(conv: Convolution) -> Tensor | None:
    """A 1x1 convolution of channels-last images, as a product of matrices."""
    plain = conv.weight.shape[2:] == _ONE and conv.stride == _ONE and conv.padding == _NONE and conv.groups == 1
    if not plain or not conv.channels_last:
        return None
    return F.linear(conv.x.permute(0, 2, 3, 1), conv.weight.flatten(1)).permute(0, 3, 1, 2)


def _depthwise(conv: Convolution) -> Tensor | None:
    """A depthwise convolution, with faster gradients."""
    if not conv.depthwise:
        return None
    kept = depthwise.keeps_size(conv.weight, conv.stride, conv.padding, conv.dilation)
    if kept and conv.x.shape[2:] == _ONE:
        return depthwise.of_one_pixel(conv.x, conv.weight)
    result: Tensor = Depthwise.apply(conv.x, conv.weight, conv.stride, conv.padding, conv.dilation)
    return result


#: The first that fits is taken.
_WAYS: tuple[Callable[[Convolution], Tensor | None], ...] = (_subsampled, _as_product, _depthwise)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, by the fastest way that is known here. For CPU, without autocast."""
    gaps = _pair(dilation)
    zeros = _padding(padding, weight, gaps, _pair(stride))
    if input.dim() != 4 or zeros is None:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    found = Convolution(input, weight, _pair(stride), zeros, gaps, groups)()
    return found if bias is None else found + bias[:, None, None]


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _padding(value: Any, weight: Tensor, dilation: Pair, stride: Pair) -> Pair | None:
    """Zeros on each side; None where one side has more than the other, or torch refuses it."""
    if not isinstance(value, str):
        return _pair(value)
    if value == "valid":
        return _NONE
    if value != "same" or stride != (1, 1):
        return None
    return depthwise.same_padding(weight, dilation) if depthwise.is_odd(weight) else None
