"""Repeated blocks of a graph: stretches of its order that come again at once, wired in the same way.

Names play no part. A stretch of nodes is a repeat of the one before it if, place by place, the types and kernels are
equal, the edges inside are the same, the same places read from outside, and the same ones read from the stretch before.
Shapes are equal, or grow by the same amount from each stretch to the next as in a dense block.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ghn_init.graph.arch import Node

#: Nodes that a fold must save.
LEAST = 4

_Key = tuple[frozenset[tuple[int, int]], tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A stretch of `length` nodes from place `first` on, which is there `times` times in a row."""

    first: int
    length: int
    times: int

    @property
    def end(self) -> int:
        """The place after the last one."""
        return self.first + self.length * self.times

    @property
    def saved(self) -> int:
        """Number of nodes that need not be drawn."""
        return self.length * (self.times - 1)


def find_repeats(nodes: Sequence[Node], feeds: Sequence[Sequence[int]], least: int = LEAST) -> list[Repeat]:
    """The repeats of a graph that save most, none overlapping another, in order.

    Args:
        nodes: in topological order.
        feeds: for each node the places of those it reads, all before it.
        least: nodes that a fold must save.
    """
    return _Finder(nodes, feeds, least).best()


class _Finder:
    def __init__(self, nodes: Sequence[Node], feeds: Sequence[Sequence[int]], least: int) -> None:
        self.feeds, self.least = feeds, least
        kinds: dict[object, int] = {}
        self.kinds = np.array([kinds.setdefault(_kind(node), len(kinds)) for node in nodes], dtype=np.int64)
        self.shapes = [node.shape or () for node in nodes]
        self.live = _live(feeds)

    def best(self) -> list[Repeat]:
        """Those candidates that save most together; of several such choices one that cuts few values."""
        by_end: dict[int, list[Repeat]] = {}
        for repeat in self._candidates():
            by_end.setdefault(repeat.end, []).append(repeat)
        # for each place what the nodes before it can save at most, and the last repeat of that choice
        worth: list[tuple[int, int]] = [(0, 0)]
        last: list[Repeat | None] = [None]
        for place in range(1, len(self.kinds) + 1):
            options: list[tuple[tuple[int, int], Repeat | None]] = [(worth[-1], None)]
            for repeat in by_end.get(place, ()):
                saved, live = worth[repeat.first]
                options.append(((saved + repeat.saved, live - self.live[repeat.first]), repeat))
            best = max(options, key=lambda option: option[0])
            worth.append(best[0])
            last.append(best[1])
        chosen: list[Repeat] = []
        place = len(self.kinds)
        while place:
            taken = last[place]
            place = place - 1 if taken is None else taken.first
            chosen += [] if taken is None else [taken]
        return chosen[::-1]

    def _candidates(self) -> list[Repeat]:
        found: list[Repeat] = []
        end = len(self.kinds)
        for length in range(1, end // 2 + 1):
            equal = self.kinds[: end - length] == self.kinds[length:]
            for low, last in _runs(equal):
                high = last + length
                if high - low < 2 * length or high - low - length < self.least:
                    continue
                if any(
                    length % one.length == 0 and one.first < low + length and one.end + length > high for one in found
                ):
                    continue  # several turns of a shorter one
                found += self._cut(low, high, length)
        return found

    def _cut(self, low: int, high: int, length: int) -> Iterator[Repeat]:
        """Repeats of that length between two places, cut where the fewest values cross."""
        starts = range(low, min(low + length, high - 2 * length + 1))
        fewest = min(self.live[start] for start in starts)
        for start in starts:
            if self.live[start] == fewest:
                yield from self._repeats(start, high, length)

    def _repeats(self, low: int, high: int, length: int) -> Iterator[Repeat]:
        keys = [self._key(place, length) for place in range(low, high - 2 * length + 1, length)]
        place = low
        for key, group in itertools.groupby(keys):
            pairs = len(list(group))
            # two stretches of different shapes do not say how a third one would go on
            if key is not None and (pairs > 1 or not any(key[1])) and length * pairs >= self.least:
                yield Repeat(place, length, pairs + 1)
            place += pairs * length

    def _key(self, first: int, length: int) -> _Key | None:
        """How the stretch after that at `first` reads it and how its shapes differ; None if it is no repeat."""
        second = first + length
        carried: set[tuple[int, int]] = set()
        growth: list[int] = []
        for place in range(length):
            ours, theirs = self.feeds[first + place], self.feeds[second + place]
            if any(feed < first for feed in ours) != any(feed < second for feed in theirs):
                return None
            if {feed - first for feed in ours if feed >= first} != {feed - second for feed in theirs if feed >= second}:
                return None
            carried |= {(feed - first, place) for feed in theirs if first <= feed < second}
            shapes = self.shapes[first + place], self.shapes[second + place]
            growth += [after - before for before, after in zip(*shapes, strict=True)]
        return (frozenset(carried), tuple(growth)) if carried else None


def _kind(node: Node) -> object:
    shape = node.shape or ()
    return node.type, len(shape), shape[2:], node.param is None, node.rider is None, node.head


def _live(feeds: Sequence[Sequence[int]]) -> list[int]:
    """For each place the number of nodes before it that it or a later one reads."""
    last: dict[int, int] = {}
    for place, sources in enumerate(feeds):
        for source in sources:
            last[source] = place
    change = np.zeros(len(feeds) + 2, dtype=np.int64)
    for source, place in last.items():
        change[source + 1] += 1
        change[place + 1] -= 1
    live: list[int] = np.cumsum(change)[: len(feeds)].tolist()
    return live


def _runs(equal: np.ndarray) -> list[tuple[int, int]]:
    """First and past-the-last place of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], equal.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
