"""Convolutions that PyTorch is slow at on CPU, done in other ways with the same results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ghn_init.substitution import Substituted
from ghn_init.training import depthwise

_ONE = (1, 1)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The arguments of `torch.nn.functional.conv2d`, (height, width) each; a padding may be named."""

    x: Tensor
    weight: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int] | str
    dilation: tuple[int, int]
    groups: int

    @property
    def keeps_size(self) -> bool:
        """Whether images stay as large as they are, by as many zeros on each side."""
        odd = self.weight.shape[2] % 2 == self.weight.shape[3] % 2 == 1
        kept = depthwise.same_padding(self.weight, self.dilation)
        return odd and self.stride == _ONE and self.padding in ("same", kept)

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a kernel of its own, and one output."""
        return 1 < self.groups == self.weight.shape[0] == self.x.shape[1]


def _as_product(conv: Convolution) -> Tensor | None:
    """A 1x1 convolution of channels-last images, as a product of matrices."""
    plain = conv.weight.shape[2:] == _ONE and conv.keeps_size and conv.groups == 1
    if not plain or not conv.x.is_contiguous(memory_format=torch.channels_last):
        return None
    return F.linear(conv.x.permute(0, 2, 3, 1), conv.weight.flatten(1)).permute(0, 3, 1, 2)


def _pixel_depthwise(conv: Convolution) -> Tensor | None:
    if not conv.depthwise or not conv.keeps_size or conv.x.shape[2:] != _ONE:
        return None
    return depthwise.of_one_pixel(conv.x, conv.weight)


def _dilated_depthwise(conv: Convolution) -> Tensor | None:
    if not conv.depthwise or not conv.keeps_size or conv.dilation == _ONE:
        return None
    result: Tensor = depthwise.Dilated.apply(conv.x, conv.weight, conv.dilation)
    return result


#: The first that fits is taken.
_WAYS: tuple[Callable[[Convolution], Tensor | None], ...] = (_as_product, _pixel_depthwise, _dilated_depthwise)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if input.dim() == 4:
        conv = Convolution(input, weight, _pair(stride), _pair(padding), _pair(dilation), groups)
        for way in _WAYS:
            found = way(conv)
            if found is not None:
                return found if bias is None else found + bias[:, None, None]
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _pair(value: Any) -> Any:
    if isinstance(value, int):
        return value, value
    return value if isinstance(value, str) else (value[0], value[-1])


def fast_convolutions() -> Substituted:
    """A context in which some convolutions are done in faster ways; the results are the same.

    For float32 on CPU, without autocast.
    """
    return Substituted({F.conv2d: _conv2d})
