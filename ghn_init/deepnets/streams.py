"""Random choices that depend on a key alone: not on the machine, and not on what was drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def stream(*key: str | int) -> np.random.Generator:
    """A random generator that depends on `key` alone."""
    return np.random.Generator(_bits(*key))


def _bits(*key: str | int) -> np.random.PCG64:
    digest = hashlib.blake2b(repr(("ghn_init.deepnets", *key)).encode(), digest_size=16).digest()
    return np.random.PCG64(int.from_bytes(digest, "little"))


class Choices:
    """Choices that no release of numpy changes: of its generators only the stream of bits is promised to stay.

    Args:
        key: what the choices depend on.
    """

    def __init__(self, *key: str | int) -> None:
        self._bits = _bits(*key)

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1."""
        return (int(self._bits.random_raw()) * bound) >> 64

    def within(self, least: int, most: int) -> int:
        """A number from `least` to `most`."""
        return least + self.below(most - least + 1)

    def one_of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def two_below(self, bound: int) -> tuple[int, int]:
        """Two different numbers from 0 to `bound` - 1, in either order."""
        first, second = self.below(bound), self.below(bound - 1)
        return first, second + (second >= first)

    def coin(self, probability: float = 0.5) -> bool:
        """True with the given probability."""
        return int(self._bits.random_raw()) < probability * 2.0**64
