"""From a decoded block to a whole parameter: cut, repeat, reorder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ghn_init.hypernet.targets import Target


def window(largest: int, size: int, centred: bool) -> tuple[int, int]:
    """First and past-the-last position, along one side of the largest kernel, of a kernel of `size`.

    GHN-3 cuts small kernels from the middle of the largest one, GHN-2 from its corner.
    """
    if size >= largest:
        return 0, largest
    first = largest // 2 - size // 2 if centred else 0
    return first, first + size


def enlarged(block: Tensor, height: int, width: int) -> Tensor:
    """A block (out, in, h, w) with its kernels interpolated bilinearly where they must be larger than they are."""
    if block.shape[2:] == (height, width):
        return block
    return F.interpolate(block, (height, width), mode="bilinear", align_corners=False)


def tiled(block: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeats a tensor along its leading two dimensions until it has `shape`, cutting off what is too much.

    Args:
        block: the tensor to repeat; no dimension is larger than that of `shape`.
        shape: as many numbers as `block` has dimensions; the third and later ones are those of `block`.
    """
    if block.shape == tuple(shape):
        return block
    whole: Tensor = _Tile.apply(block, tuple(shape))
    return whole


class _Tile(torch.autograd.Function):
    """Repeats along the leading two dimensions."""

    @staticmethod
    def forward(ctx: Any, block: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.shape = block.shape
        whole = block.repeat([-(-want // have) for want, have in zip(shape, block.shape, strict=True)])
        return whole[tuple(slice(want) for want in shape[:2])]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return _summed(gradient, ctx.shape[:2]), None


def _summed(whole: Tensor, sizes: Sequence[int]) -> Tensor:
    """The sum over the tiles, of such sizes along the leading dimensions.

    They are added up as they lie, first along one dimension and then along the other: neither has a cut-off tile to be
    padded, nor are sums taken over short strides.
    """
    for dimension, size in enumerate(sizes):
        first, *others = torch.split(whole, size, dimension)
        if others:
            whole = first.clone()
            for other in others:
                whole.narrow(dimension, 0, other.shape[dimension]).add_(other)
    return whole


def alike(whole: Tensor, sizes: Sequence[int]) -> Tensor:
    """Every number replaced by the mean over its copies in all tiles.

    Of a gradient by a repeated parameter that is the part that repeats, which is all that can be followed.

    Args:
        whole: of the parameter's shape.
        sizes: of a tile along the leading dimensions, not larger than those of `whole`.
    """
    sizes = sizes[: whole.dim()]
    if tuple(sizes) == whole.shape[: len(sizes)]:
        return whole
    block = _summed(whole, sizes)
    for dimension, size in enumerate(sizes):
        copies, more = divmod(whole.shape[dimension], size)  # the first `more` have one more
        block.narrow(dimension, 0, more).div_(copies + 1)
        block.narrow(dimension, more, size - more).div_(copies)
    return tiled(block, whole.shape)


def assembled(block: Tensor, target: Target) -> Tensor:
    """The parameter, in its module's shape, from its normalised block.

    Args:
        block: ``(length,)`` or (out, in, height, width), at most as large as `target.shape`.
        target: the parameter.

    Returns:
        The rows of a position table for which nothing is predicted are zeros.
    """
    whole = tiled(block, target.shape)
    if target.table:
        rows = whole[0].flatten(1).t()
        return F.pad(rows, (0, 0, target.kept_rows, 0)).view(target.param_shape)
    if target.transposed:
        return whole[:, :, 0, 0].t().contiguous()
    if target.depth > 1:
        whole = whole.unsqueeze(2).expand(-1, -1, target.depth, -1, -1)
    return whole.reshape(target.param_shape)


def split_rows(rows: Tensor, counts: Sequence[int]) -> tuple[Tensor, ...]:
    """`rows` in parts of the given lengths. Unlike slices, the parts share one backward step."""
    return torch.split(rows, list(counts))
