"""The shape in which a GHN sees a parameter."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt, prod

Shape = tuple[int, ...]


def seen_shape(node_type: str, shape: Shape, head: bool = False) -> Shape:
    """The GHN's view of a parameter of this shape: that of its node type, or the shape itself.

    A head is a matrix even where it is a 1x1 convolution.
    """
    view = _VIEWS.get(node_type)
    if view is not None:
        return view(shape)
    if head and len(shape) == 4 and max(shape[2:]) == 1:
        return shape[:2]
    return shape


def _table(shape: Shape) -> Shape:
    """A table of positions is the image (1, channels, height, width), square where its sides are not told."""
    if len(shape) == 4 and shape[0] == 1:
        _, first, second, last = shape
        channels_last = second != last and last > max(first, second)
        return (1, last, first, second) if channels_last else shape
    if len(shape) == 3 and shape[0] > 1 and shape[1] == shape[2]:
        return 1, *shape
    if len(shape) < 2:
        return shape
    side = isqrt(prod(shape[:-1]))
    return 1, shape[-1], side, side


def matrix(shape: Shape) -> Shape:
    """Vectors, or matrices (out, in), stacked along any dimensions are one matrix, a row for each."""
    return prod(shape[:-1]), (*shape, 1)[max(len(shape) - 1, 0)]


def _flat(shape: Shape) -> Shape:
    return (prod(shape),)


_VIEWS: dict[str, Callable[[Shape], Shape]] = {
    "pos_enc": _table,
    "layer_scale": _flat,
    "bias": _flat,
    "token": matrix,
    "rel_pos": matrix,
}
