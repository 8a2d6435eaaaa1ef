"""Cheap, reproducible normal noise of any length."""

from __future__ import annotations

import dataclasses
import zlib

import torch
from torch import Tensor

#: Numbers in the pool. A prime, so that the channels of a parameter all meet different numbers.
POOL = 65_521


class NoisePool:
    """Normal numbers that are drawn once and read again and again, by each parameter from a place of its own.

    Tiling makes whole channels identical. Breaking that symmetry takes different numbers, not independent ones: to draw
    as many as a network has parameters would take longer than to predict them.

    Args:
        std: standard deviation.
        seed: of the generator.
        copies: how many copies of the pool to lay one after the other, at least 2: the more, the longer the stretches
            that need not be copied together.
    """

    def __init__(self, std: float, seed: int, copies: int = 2) -> None:
        drawn = torch.randn(POOL, generator=torch.Generator().manual_seed(seed)) * std
        self._numbers = drawn.repeat(copies)
        #: The longest stretch that is a view.
        self.longest = (copies - 1) * POOL

    def stretch(self, name: str, first: int, count: int, device: torch.device) -> Tensor:
        """Noise for the elements first to first + count of the parameter `name`: float32, (count,), on the device.

        Depends on the seed, the name and the position of the element only.
        """
        if self._numbers.device != device:
            self._numbers = self._numbers.to(device)
        start = (zlib.crc32(name.encode()) + first) % POOL
        if count > self.longest:
            return self._numbers[start : start + POOL].repeat(-(-count // POOL))[:count]
        return self._numbers[start : start + count]


@dataclasses.dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one tensor.

    Attributes:
        pool: where the numbers come from.
        name: the parameter that the tensor belongs to.
        skipped: elements of the parameter before the tensor's first.
        device: the tensor's.
    """

    pool: NoisePool
    name: str
    skipped: int
    device: torch.device

    def __call__(self, first: int, shape: tuple[int, ...], count: int) -> Tensor:
        """The numbers for `count` elements from the tensor's element `first` on, in C order, in the given shape."""
        return self.pool.stretch(self.name, self.skipped + first, count, self.device).view(shape)

    @property
    def longest(self) -> int:
        """How many numbers are best taken at a time."""
        return self.pool.longest
