"""A drawing as plain geometry, which `svg` and `png` turn into pictures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Rect:
    """A rectangle: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.y + self.height

    def overlaps(self, other: Rect) -> bool:
        """Whether the two have points inside in common."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom


@dataclasses.dataclass(frozen=True)
class Box:
    """A node: `index` is that of the outline's box."""

    index: int
    type: str
    label: str
    title: str
    rect: Rect


@dataclasses.dataclass(frozen=True)
class Frame:
    """The frame around a repeated block, with how often it is there and what it is."""

    rect: Rect
    times: int
    words: str


@dataclasses.dataclass(frozen=True)
class Line:
    """An edge, from the lower side of a box to the upper side of another: points to be joined.

    Pieces between points of one x or one y are straight, others curves that begin and end vertically.
    """

    start: int
    end: int
    points: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class Arc:
    """A virtual edge of a length."""

    start: int
    end: int
    length: int
    points: tuple[Point, Point, Point]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the legend."""

    type: str
    words: str
    rect: Rect


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that is drawn, in a picture of `width` by `height`."""

    width: float
    height: float
    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]
    arcs: tuple[Arc, ...]
    legend: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """A piece of a path: a straight line, or a cubic curve with two control points, to a point."""

    end: Point
    controls: tuple[Point, Point] | None = None


#: Radius of the corners where an edge goes over to another column.
_CORNER = 5.0


def steps(points: Sequence[Point]) -> list[Step]:
    """The pieces of a `Line` after its first point: corners rounded, slanted pieces as curves."""
    made: list[Step] = []
    for index in range(1, len(points)):
        before, here = points[index - 1], points[index]
        after = points[index + 1] if index + 1 < len(points) else None
        if _slanted(before, here):
            middle = (before[1] + here[1]) / 2
            made.append(Step(here, ((before[0], middle), (here[0], middle))))
        elif after is None or _slanted(here, after) or _straight_on(before, here, after):
            made.append(Step(here))
        else:
            near, far = _towards(here, before), _towards(here, after)
            made += [Step(near), Step(far, (_between(near, here), _between(far, here)))]
    return made


def _slanted(one: Point, other: Point) -> bool:
    return abs(one[0] - other[0]) > 1e-6 and abs(one[1] - other[1]) > 1e-6


def _straight_on(before: Point, here: Point, after: Point) -> bool:
    same = [all(abs(point[axis] - here[axis]) <= 1e-6 for point in (before, after)) for axis in (0, 1)]
    return any(same)


def _towards(here: Point, there: Point) -> Point:
    distance = math.dist(here, there)
    share = min(_CORNER, distance / 2) / distance
    return here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])


def _between(one: Point, other: Point) -> Point:
    return one[0] + 0.55 * (other[0] - one[0]), one[1] + 0.55 * (other[1] - one[1])
