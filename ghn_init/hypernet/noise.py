"""Cheap, reproducible normal noise of any length."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

#: Numbers in the pool. A prime, so that the channels of a parameter all meet different numbers.
POOL = 2**17 - 1
#: Copies of the pool that lie one after the other, so that a stretch of numbers is one view.
COPIES = 2


class NoisePool:
    """Normal numbers that are drawn once and read again and again, by each parameter from a place of its own.

    Tiling makes whole channels identical. Breaking that symmetry takes different numbers, not independent ones: to draw
    as many as a network has parameters would take longer than to predict them.

    Args:
        std: standard deviation.
        seed: of the generator.
    """

    #: The longest stretch that is a view; longer ones are copied together.
    longest = (COPIES - 1) * POOL

    def __init__(self, std: float, seed: int) -> None:
        drawn = torch.randn(POOL, generator=torch.Generator().manual_seed(seed)) * std
        self._numbers = drawn.repeat(COPIES)

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
