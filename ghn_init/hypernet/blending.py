"""Predicted weights mixed with random ones of the same size, or replaced by them where they are too small."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Blended(NamedTuple):
    """What to write for some rows (out channels).

    Attributes:
        part: (rows, in, height, width), the prediction's part.
        amplitude: (rows, 1, 1, 1), by how much to multiply the unit normal numbers that are added; None for none.
        replaced: (rows,) bool, of which rows random numbers take the place; None where that was not asked for.
    """

    part: Tensor
    amplitude: Tensor | None = None
    replaced: Tensor | None = None


def mixture(share: float) -> tuple[float, float]:
    """The factors of the prediction and of the random numbers: in the ratio 1 - share to share, with squares of sum 1.

    The two are all but orthogonal, so that their mixture has the root mean square of each.
    """
    length = math.hypot(1.0 - share, share)
    return (1.0 - share) / length, share / length


def blended(block: Tensor, share: float, noise: float, *, he: float = 0.0, floor: float = 0.0) -> Blended:
    """Mixes random numbers into some rows; without a share the block is left as it is.

    Args:
        block: (rows, in, height, width).
        share: of the random numbers, in [0, 1].
        noise: standard deviation of the noise that is added anyway.
        he: standard deviation of He's initialisation (He et al., 2015, eq. 10); 0 for what has none.
        floor: share of `he`; rows whose root mean square is smaller are replaced by normal numbers of deviation `he`.
    """
    if not share:
        return Blended(block)
    kept, random = mixture(share)
    square = block.square().mean(dim=tuple(range(1, block.dim())), keepdim=True)
    amplitude = (square * random**2 + noise**2).sqrt()
    if not he * floor:
        return Blended(block * kept, amplitude)
    small = square < (he * floor) ** 2
    return Blended(block * torch.where(small, 0.0, kept), torch.where(small, he, amplitude), small.flatten())
