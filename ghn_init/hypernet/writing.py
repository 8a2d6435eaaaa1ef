"""Writing decoded blocks straight into parameters, repeated as often as they fit, without a copy of their size."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ghn_init.hypernet.noise import NoisePool
from ghn_init.hypernet.targets import Target

#: Noise for the elements first to first + count of a tensor, in C order.
Numbers = Callable[[int, int], Tensor]


def kernel_views(destination: Tensor, target: Target) -> list[Tensor] | None:
    """Views of a parameter in the shape in which it is decoded, one for each step along a kernel's depth.

    Args:
        destination: a tensor of shape `Target.param_shape`, with any strides.
        target: the parameter.

    Returns:
        Tensors of shape `Target.shape`, which share the memory of `destination`; for a table of positions without its
        leading rows that are not predicted. None if the strides allow no such view.
    """
    if destination.shape == target.shape:
        return [destination]
    try:
        if target.table:
            rows = destination.view(-1, target.param_shape[-1])[target.kept_rows :]
            return [rows.t().view(target.shape)]
        out, *others = target.shape
        if not others:
            return [destination.view(out)]
        return list(destination.view(out, others[0], target.depth, *others[1:]).unbind(2))
    except RuntimeError:
        return None


def write(view: Tensor, block: Tensor, first: int, period: int, numbers: Numbers | None = None) -> None:
    """Writes some rows (out channels) of a tile into every tile of a parameter, repeated along the in channels too.

    Args:
        view: the parameter, (length,) or (out, in, height, width), with any strides, of any float dtype.
        block: the rows, (rows,) or (rows, in, height, width): float32, on the parameter's device.
        first: the place of the block's first row in its tile; beyond the parameter's end, nothing is written.
        period: rows of a tile.
        numbers: noise to add; at most `NoisePool.longest` numbers are taken at a time, but for a longer row.
    """
    rows, length, row = block.shape[0], view.shape[0], math.prod(view.shape[1:])
    tiles = length // period
    at_once = tiles if numbers is None else min(tiles, NoisePool.longest // (period * row))
    done = 0
    while at_once and done < tiles:
        count = min(at_once, tiles - done)
        shape = (count, period, *view.shape[1:])
        here = slice(done * period, (done + count) * period)
        noise = None if numbers is None else numbers(here.start * row, count * period * row).view(shape)
        inside = slice(first, first + rows)
        _fill(view[here].view(shape)[:, inside], block, 2, None if noise is None else noise[:, inside])
        done += count
    most = rows if numbers is None else max(1, NoisePool.longest // row)
    for tile in range(done * period, length, period):
        stop = min(tile + first + rows, length)
        for start in range(tile + first, stop, most):
            part = view[start : min(start + most, stop)]
            noise = None if numbers is None else numbers(start * row, part.numel()).view(part.shape)
            source = start - tile - first
            _fill(part, block[source : source + part.shape[0]], 1, noise)


def _fill(part: Tensor, block: Tensor, dimension: int, noise: Tensor | None) -> None:
    """Puts `block` (plus noise) into `part`, side by side along `dimension`, broadcast along the ones before."""
    if part.dim() <= dimension:
        _put(part, block, noise)
        return
    inner, length = block.shape[1], part.shape[dimension]
    whole = length // inner
    if whole:
        split = (*part.shape[:dimension], whole, inner, *part.shape[dimension + 1 :])
        front = part.narrow(dimension, 0, whole * inner).view(split)
        noise_front = None if noise is None else noise.narrow(dimension, 0, whole * inner).view(split)
        _put(front, block.unsqueeze(1), noise_front)
    if whole * inner < length:
        rest = length - whole * inner
        noise_rest = None if noise is None else noise.narrow(dimension, whole * inner, rest)
        _put(part.narrow(dimension, whole * inner, rest), block[:, :rest], noise_rest)


def _put(part: Tensor, block: Tensor, noise: Tensor | None) -> None:
    if noise is None:
        part.copy_(block)
    else:
        torch.add(block, noise, out=part)
