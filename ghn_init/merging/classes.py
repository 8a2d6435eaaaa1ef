"""Which channels of a tensor are equal."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Classes:
    """The channels of a tensor in runs, in each of which they repeat with a period.

    Two channels are equal if they are in the same run, a multiple of its period apart. Of equal ones the first is kept.

    Attributes:
        runs: (number of channels, period) of each run; a period is no longer than its run.
    """

    runs: tuple[tuple[int, int], ...]

    @classmethod
    @functools.lru_cache(maxsize=4096)
    def repeated(cls, size: int, period: int) -> Classes:
        """`size` channels that repeat after `period`."""
        return cls(((size, min(size, period)),))

    @classmethod
    def distinct(cls, size: int) -> Classes:
        """`size` channels, none of which need be equal to another."""
        return cls.repeated(size, size)

    @classmethod
    def joined(cls, parts: Iterable[Classes]) -> Classes:
        """Of tensors that are concatenated."""
        return _kept(tuple(run for part in parts for run in part.runs))

    @functools.cached_property
    def size(self) -> int:
        """Number of channels."""
        return sum(size for size, _ in self.runs)

    @functools.cached_property
    def count(self) -> int:
        """Number of those that are kept."""
        return sum(period for _, period in self.runs)

    @functools.cached_property
    def all_distinct(self) -> bool:
        """Whether all are kept."""
        return self.count == self.size

    @functools.cached_property
    def first(self) -> Tensor:
        """The channels that are kept: int64 (count,)."""
        starts = itertools.accumulate((size for size, _ in self.runs), initial=0)
        return torch.cat([torch.arange(start, start + p) for start, (_, p) in zip(starts, self.runs, strict=False)])

    @functools.cached_property
    def of(self) -> Tensor:
        """For each channel the place of the one that is kept for it: int64 (size,)."""
        starts = itertools.accumulate((period for _, period in self.runs), initial=0)
        return torch.cat([start + torch.arange(s) % p for start, (s, p) in zip(starts, self.runs, strict=False)])

    @functools.cached_property
    def counts(self) -> Tensor:
        """How many channels each of the kept ones stands for: float32 (count,)."""
        return torch.bincount(self.of, minlength=self.count).float()

    def fits(self, period: int) -> bool:
        """Whether numbers, one for each channel, that repeat with `period` are the same for equal channels."""
        return all(own == size or own % period == 0 for size, own in self.runs)

    def spread(self, places: int) -> Classes:
        """Of a tensor whose `places` places were flattened into the channels, each channel's next to each other."""
        return self if places == 1 else _kept(tuple((size * places, period * places) for size, period in self.runs))


@functools.lru_cache(maxsize=4096)
def _kept(runs: tuple[tuple[int, int], ...]) -> Classes:
    """The one object for these runs, so that what is computed of it is computed once."""
    return Classes(runs)


@functools.lru_cache(maxsize=4096)
def refined(one: Classes, other: Classes) -> Classes:
    """Classes of which equal ones are equal in both, which are of as many channels."""
    if one == other:
        return one
    runs, ones, others = [], list(one.runs), list(other.runs)
    while ones:
        (a, p), (b, q) = ones.pop(0), others.pop(0)
        size = min(a, b)
        runs.append((size, min(size, math.lcm(p, q))))
        # what is left of the longer run begins elsewhere in its period, which is the same one
        if a > size:
            ones.insert(0, (a - size, min(a - size, p)))
        if b > size:
            others.insert(0, (b - size, min(b - size, q)))
    return _kept(tuple(runs))
