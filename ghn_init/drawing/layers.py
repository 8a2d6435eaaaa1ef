"""Rows and columns: each box gets a row below all that it reads, and long graphs go on in a further column."""

from __future__ import annotations

import dataclasses
import math

from ghn_init.drawing.outline import Outline

#: Rows that are never spread over several columns.
FEWEST_ROWS = 22
#: How far from even a column may be, as a share of its height, for the sake of fewer edges from one to the next.
_SLACK = 0.3


@dataclasses.dataclass(frozen=True)
class Layers:
    """Where boxes are, roughly.

    Attributes:
        row: the row of each box.
        starts: the first row of each column; and, at the end, the number of all rows.
    """

    row: tuple[int, ...]
    starts: tuple[int, ...]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.starts) - 1


def rows(plan: Outline) -> tuple[int, ...]:
    """The row of each box: below those that it reads; the rows of a repeated block hold nothing else."""
    feeds: list[list[int]] = [[] for _ in plan.boxes]
    readers: list[list[int]] = [[] for _ in plan.boxes]
    for start, end in plan.edges:
        feeds[end].append(start)
        readers[start].append(end)
    row = [0] * len(plan.boxes)
    for first, last in regions(plan):
        base = 1 + max(row[:first], default=-1)
        for box in range(first, last + 1):
            row[box] = max([base, *(row[feed] + 1 for feed in feeds[box])])
        for box in range(last, first - 1, -1):  # what reads nothing goes right above its first reader
            near = [row[reader] for reader in readers[box] if reader <= last]
            if not feeds[box] and near and box:
                row[box] = max(base, min(near) - 1)
    return tuple(row)


def regions(plan: Outline) -> list[tuple[int, int]]:
    """First and last box of each repeated block, and of each stretch between two."""
    found, at = [], 0
    for group in plan.groups:
        if at < group.first:
            found.append((at, group.first - 1))
        found.append((group.first, group.last))
        at = group.last + 1
    if at < len(plan.boxes):
        found.append((at, len(plan.boxes) - 1))
    return found


def wrapped(plan: Outline, row: tuple[int, ...], columns: int) -> Layers:
    """The rows in about so many columns, cut where few edges cross, and never within a repeated block."""
    total = max(row, default=-1) + 1
    crossing = _crossing(plan, row, total)
    for group in plan.groups:
        first = row[group.first]
        last = max(row[group.first : group.last + 1])
        for cut in range(first + 1, last + 1):
            crossing[cut] = total**2  # as good as never
    starts = [0]
    for turn in range(1, columns):
        even = (total - starts[-1]) / (columns - turn + 1)
        slack = max(1, math.floor(even * _SLACK))
        near = range(max(starts[-1] + 2, round(starts[-1] + even) - slack), round(starts[-1] + even) + slack + 1)
        cuts = [cut for cut in near if cut < total - 1 and crossing[cut] < total**2]
        if not cuts:
            later = range(near.stop, total - 1)
            cuts = [cut for cut in later if crossing[cut] < total**2][:1]
        if not cuts:
            break
        starts.append(min(cuts, key=lambda cut: (crossing[cut] + abs(cut - starts[-1] - even) / slack, cut)))
    return Layers(row, (*starts, total))


def _crossing(plan: Outline, row: tuple[int, ...], total: int) -> list[int]:
    """For each row the number of boxes above it that are read in it or below."""
    last = dict.fromkeys(range(len(row)), 0)
    for start, end in plan.edges:
        last[start] = max(last[start], row[end])
    change = [0] * (total + 2)
    for box, end in last.items():
        if end > row[box]:
            change[row[box] + 1] += 1
            change[end + 1] -= 1
    live, crossing = 0, []
    for cut in range(total + 1):
        live += change[cut]
        crossing.append(live)
    return crossing
