"""Tensors of which equal channels are kept once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ghn_init.merging.classes import Classes

#: Name of the attribute of tensors of which equal channels, along dimension 1, are kept once.
_CLASSES = "_equal_channels"


def classes_of(x: Tensor) -> Classes | None:
    """Which channels of a tensor are equal; None if it is whole."""
    return getattr(x, _CLASSES, None)


def marked(x: Tensor, classes: Classes) -> Tensor:
    """`x`, whose channels along dimension 1 are those that are kept of `classes`."""
    if not classes.all_distinct:
        setattr(x, _CLASSES, classes)
    return x


def whole(x: Tensor) -> Tensor:
    """`x` with all its channels."""
    classes = classes_of(x)
    return x if classes is None else regrouped(x, classes, Classes.distinct(classes.size))


def regrouped(x: Tensor, classes: Classes, wanted: Classes) -> Tensor:
    """Keeps more of the equal channels.

    Args:
        x: (batch, `classes.count`, ...).
        classes: of `x`.
        wanted: classes that are at least as fine, of as many channels.

    Returns:
        (batch, `wanted.count`, ...), channels last in memory if `x` is.
    """
    if classes == wanted:
        return x
    places = classes.of if wanted.all_distinct else classes.of[wanted.first]
    if x.dim() != 4 or x.is_contiguous():  # as a network may ask for views of it
        return x.index_select(1, places)
    # channels last, indexing copies runs of numbers
    return x.permute(0, 2, 3, 1).index_select(3, places).permute(0, 3, 1, 2)


def reduced(weight: Tensor, rows: Classes, columns: Classes | None = None) -> Tensor:
    """The weight of a layer that keeps equal channels once.

    What is equal in the input comes in once, so its columns are added up: as they are equal, multiplied.

    Args:
        weight: (out, in, ...), or (out,).
        rows: classes of the output.
        columns: classes of the input; None leaves the second dimension as it is.

    Returns:
        (`rows.count`, `columns.count`, ...). Its gradient gives `weight` the one that it has in the whole network,
        where all that follows treats equal channels alike, and otherwise the mean over equal rows.
    """
    keep = columns is None or columns.all_distinct
    if rows.all_distinct and keep:
        return weight
    result: Tensor = _Reduce.apply(weight, rows, None if keep else columns)
    return result


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, rows: Classes, columns: Classes | None) -> Tensor:
        ctx.rows, ctx.columns = rows, columns
        kept = weight if rows.all_distinct else weight.index_select(0, rows.first)
        if columns is not None:
            kept = kept.index_select(1, columns.first) * _along(1, columns.counts, kept)
        return _as_laid_out(kept, weight)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        rows, columns = ctx.rows, ctx.columns
        if not rows.all_distinct:
            gradient = (gradient / _along(0, rows.counts, gradient)).index_select(0, rows.of)
        if columns is not None:
            gradient = gradient.index_select(1, columns.of)
        return gradient, None, None


def _along(dimension: int, numbers: Tensor, like: Tensor) -> Tensor:
    """`numbers` in a shape that multiplies `like` along one dimension."""
    shape = [1] * like.dim()
    shape[dimension] = -1
    return numbers.to(like.dtype).view(shape)


def _as_laid_out(x: Tensor, like: Tensor) -> Tensor:
    if x.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x
