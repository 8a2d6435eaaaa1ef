"""From what is to be drawn to where it is: rows, columns, places, and the ways of the edges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ghn_init.drawing.labels import label
from ghn_init.drawing.layers import FEWEST_ROWS, Layers, rows, wrapped
from ghn_init.drawing.outline import Outline
from ghn_init.drawing.placing import Item, places
from ghn_init.drawing.scene import Point, Rect

BOX_HEIGHT = 22.0
#: Free height between two rows, in which edges bend.
ROW_GAP = 17.0
#: Further free room above and below the frame of a repeated block, room within it, and width of the strip on its left.
FRAME_GAP, FRAME_PAD, FRAME_STRIP = 9.0, 9.0, 27.0
#: Width of an edge that passes boxes, and free width between things of a row.
TRACK, GAP = 4.0, 12.0
#: Free width between columns, besides the edges that lead from one to the next, which are `LANE` apart.
COLUMN_GAP, LANE = 60.0, 7.0
#: Advance of a character of the labels and width of all else in a box.
CHARACTER, BOX_PAD = 6.9, 34.0
#: Width over height of the picture, unless a size is asked for.
ASPECT = 1.45


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things are.

    Attributes:
        rects: of each box.
        frames: of each repeated block.
        routes: of each edge of the outline, the points on its way.
        width: of all.
        height: of all.
    """

    rects: tuple[Rect, ...]
    frames: tuple[Rect, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def lay_out(plan: Outline, aspect: float = ASPECT) -> Layout:
    """Places the boxes of an outline, at least one, top to bottom in columns, the picture about `aspect` wide."""
    row = rows(plan)
    labels = [label(plan.nodes(box)) for box in range(len(plan.boxes))]
    widths = [BOX_PAD + CHARACTER * len(text) for text in labels]
    total = max(row) + 1
    guess = _columns(row, widths, total, aspect)
    return _Columns(plan, wrapped(plan, row, guess), widths).layout()


def _columns(row: Sequence[int], widths: Sequence[float], total: int, aspect: float) -> int:
    """How many columns give a picture of about that aspect."""
    if total <= FEWEST_ROWS:
        return 1
    filled = [0.0] * total
    for box, width in enumerate(widths):
        filled[row[box]] += width + GAP
    typical = sorted(filled)[int(0.9 * (total - 1))] + COLUMN_GAP + 2 * TRACK
    count = math.sqrt(aspect * total * (BOX_HEIGHT + ROW_GAP) / typical)
    return max(1, min(round(count), total // (FEWEST_ROWS // 2)))


class _Columns:
    """Lays out column by column."""

    def __init__(self, plan: Outline, layers: Layers, widths: Sequence[float]) -> None:
        self.plan, self.layers = plan, layers
        self.uniform = max(widths)
        self.last = [0] * len(plan.boxes)  # the row of each box's last reader
        for start, end in plan.edges:
            self.last[start] = max(self.last[start], layers.row[end])
        self.tops = self._tops()
        self.rects: dict[int, Rect] = {}
        self.track: dict[tuple[int, int], float] = {}  # x of an edge's source in a row that it passes
        self.over: list[dict[int, tuple[float, float, float]]] = []  # from column to column: x out, lane, x in

    def layout(self) -> Layout:
        """The layout."""
        left, column_of = 0.0, self._column_of_rows()
        leaving: dict[int, float] = {}
        bounds: list[tuple[float, float]] = []
        for column in range(self.layers.columns):
            arriving = sorted(leaving, key=leaving.__getitem__)
            lanes = len(arriving)
            left += COLUMN_GAP + LANE * lanes if column else 0.0
            entering, leaving_now, width = self._place(column, arriving, left)
            if column:
                order = sorted(arriving, key=leaving.__getitem__, reverse=True)
                gutter = left - FRAME_STRIP - COLUMN_GAP / 3 - LANE * (lanes - 1)
                self.over.append(
                    {box: (leaving[box], gutter + LANE * turn, entering[box]) for turn, box in enumerate(order)}
                )
            bounds.append((left, left + width))
            left, leaving = left + width, leaving_now
        depth = LANE * max((len(over) for over in self.over), default=0)
        routes = tuple(self._route(start, end, column_of, depth) for start, end in self.plan.edges)
        rects = tuple(self.rects[box] for box in range(len(self.plan.boxes)))
        frames = tuple(self._frame(group.first, group.last) for group in self.plan.groups)
        shift = depth + ROW_GAP if self.over else 0.0
        return Layout(
            tuple(dataclasses.replace(rect, y=rect.y + shift) for rect in rects),
            tuple(dataclasses.replace(rect, y=rect.y + shift) for rect in frames),
            tuple(tuple((x, y + shift) for x, y in route) for route in routes),
            left,
            max(tops[-1] for tops in self.tops) + 2 * shift,
        )

    def _column_of_rows(self) -> list[int]:
        starts = self.layers.starts
        return [column for column in range(self.layers.columns) for _ in range(starts[column], starts[column + 1])]

    def _tops(self) -> list[list[float]]:
        """For each column the y of each of its rows, and at the end of its lower side."""
        row = self.layers.row
        heads = {row[group.first] for group in self.plan.groups}
        tails = {max(row[group.first : group.last + 1]) for group in self.plan.groups}
        tops = []
        for start, end in zip(self.layers.starts, self.layers.starts[1:], strict=False):
            y, column = 0.0, []
            for index in range(start, end):
                y += FRAME_GAP + FRAME_PAD if index in heads else 0.0
                column.append(y)
                y += BOX_HEIGHT + ROW_GAP + (FRAME_PAD + FRAME_GAP if index in tails else 0.0)
            tops.append([*column, y - ROW_GAP])
        return tops

    def _place(self, column: int, arriving: list[int], left: float) -> tuple[dict[int, float], dict[int, float], float]:
        """Places a column's boxes and passing edges; where edges enter it, where they leave it, and its width."""
        start, end = self.layers.starts[column], self.layers.starts[column + 1]
        items: list[Item] = []
        links: list[tuple[int, int]] = []
        at: dict[tuple[int, int], int] = {}

        def add(box: int, row: int, width: float, passing: bool) -> None:
            at[box, row] = len(items)
            items.append(Item(row - start + 1, width, passing))

        inside = [box for box, row in enumerate(self.layers.row) if start <= row < end]
        for box in inside:
            add(box, self.layers.row[box], self.uniform, False)
        for box in arriving:
            add(box, start - 1, TRACK, True)
        for box in [*arriving, *inside]:
            first = max(self.layers.row[box] + 1, start)
            for row in range(first, min(self.last[box] - 1, end) + 1):
                add(box, row, TRACK, True)
            if self.last[box] >= end and (box, end) not in at:
                add(box, end, TRACK, True)
        for box, row in list(at):
            if (box, row + 1) in at:
                links.append((at[box, row], at[box, row + 1]))
        for source, reader in self.plan.edges:
            row = self.layers.row[reader]
            if start <= row < end:
                links.append((at[source, row - 1], at[reader, row]))
        middles = places(items, links, GAP)
        width = max(middle + item.width / 2 for middle, item in zip(middles, items, strict=True))
        offset = left - min(middle - item.width / 2 for middle, item in zip(middles, items, strict=True))
        for (box, row), index in at.items():
            middle = middles[index] + offset
            if items[index].passing:
                if start <= row < end:
                    self.track[box, row] = middle
            else:
                y = self.tops[column][row - start]
                self.rects[box] = Rect(middle - self.uniform / 2, y, self.uniform, BOX_HEIGHT)
        entering = {box: middles[at[box, start - 1]] + offset for box in arriving}
        leaving = {box: middles[index] + offset for (box, row), index in at.items() if row == end}
        return entering, leaving, width + offset - left

    def _route(self, start: int, end: int, column_of: list[int], depth: float) -> tuple[Point, ...]:
        source, target = self.rects[start], self.rects[end]
        points: list[Point] = [(source.x + source.width / 2, source.bottom)]
        first, last = self.layers.row[start], self.layers.row[end]
        for row in range(first + 1, last):
            if column_of[row] != column_of[row - 1]:
                points += self._over(start, column_of[row - 1], depth)
            x, y = self.track[start, row], self._top(column_of[row], row)
            points += [(x, y), (x, y + BOX_HEIGHT)]
        if column_of[last] != column_of[last - 1]:
            points += self._over(start, column_of[last - 1], depth)
        points.append((target.x + target.width / 2, target.y))
        return tuple(_plain(points))

    def _top(self, column: int, row: int) -> float:
        return self.tops[column][row - self.layers.starts[column]]

    def _over(self, box: int, column: int, depth: float) -> list[Point]:
        """The way of an edge from the foot of a column to the head of the next."""
        over = self.over[column]
        out, lane, into = over[box]
        turn = sorted(over, key=lambda one: over[one][1]).index(box)
        foot = self.tops[column][-1] + ROW_GAP + LANE * turn
        head = -ROW_GAP - depth + LANE * turn
        return [(out, foot - LANE * turn), (out, foot), (lane, foot), (lane, head), (into, head), (into, -ROW_GAP)]

    def _frame(self, first: int, last: int) -> Rect:
        rects = [self.rects[box] for box in range(first, last + 1)]
        top_row, last_row = self.layers.row[first], max(self.layers.row[first : last + 1])
        touching = {start for start, end in self.plan.edges if first <= start <= last or first <= end <= last}
        tracks = [x for (box, row), x in self.track.items() if top_row <= row <= last_row and box in touching]
        left = min([*(rect.x for rect in rects), *tracks])
        right = max([*(rect.right for rect in rects), *tracks])
        top, bottom = min(rect.y for rect in rects) - FRAME_PAD, max(rect.bottom for rect in rects) + FRAME_PAD
        left -= FRAME_PAD + FRAME_STRIP
        return Rect(left, top, right + FRAME_PAD - left, bottom - top)


def _plain(points: Sequence[Point]) -> list[Point]:
    """The points without those in the middle of a straight piece."""
    kept: list[Point] = []
    for point in points:
        if kept and math.dist(kept[-1], point) < 1e-6:
            continue
        if len(kept) > 1 and any(
            abs(kept[-2][axis] - point[axis]) < 1e-6 and abs(kept[-1][axis] - point[axis]) < 1e-6 for axis in (0, 1)
        ):
            kept.pop()
        kept.append(point)
    return kept
