"""Where things are: nothing covers a node, edges lead from the right box to the right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import drawn_graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.drawing.compose import compose
from ghn_init.drawing.layout import lay_out
from ghn_init.drawing.outline import outline
from ghn_init.drawing.scene import Point, Rect, Scene, steps
from ghn_init.graph import ArchGraph


def scene_of(graph: ArchGraph, fold: bool = True) -> Scene:
    plan = outline(graph, fold=fold)
    return compose(plan, lay_out(plan), "title", "subtitle", None)


def samples(points: tuple[Point, ...], count: int = 12) -> Iterator[Point]:
    """Points on the way of an edge, close to each other."""
    here = points[0]
    for step in steps(points):
        one, other = step.controls or (here, step.end)
        for index in range(1, count + 1):
            t = index / count
            u = 1 - t
            if step.controls is None:
                yield tuple(u * a + t * b for a, b in zip(here, step.end, strict=True))
            else:
                corners = zip(here, one, other, step.end, strict=True)
                yield tuple(u**3 * a + 3 * u * u * t * b + 3 * u * t * t * c + t**3 * d for a, b, c, d in corners)
        here = step.end


def corners(rects: Sequence[Rect]) -> np.ndarray:
    """Left, top, right and lower side of each: (rects, 4)."""
    return np.array([(rect.x, rect.y, rect.right, rect.bottom) for rect in rects]).reshape(-1, 4)


def overlapping(rects: Sequence[Rect]) -> int:
    """Pairs of rectangles that have points inside in common."""
    left, top, right, bottom = corners(rects).T
    across = (left[:, None] < right) & (left < right[:, None])
    down = (top[:, None] < bottom) & (top < bottom[:, None])
    return int((across & down).sum()) - len(rects)


def check(scene: Scene) -> None:
    rects = [box.rect for box in scene.boxes]
    frames, entries = [frame.rect for frame in scene.frames], [entry.rect for entry in scene.legend]
    assert overlapping([*rects, *entries]) == 0
    assert overlapping(frames) == 0
    sides = corners([*rects, *frames, *entries])
    assert sides.min() >= 0
    assert sides[:, 2].max() <= scene.width
    assert sides[:, 3].max() <= scene.height
    boxes = corners(rects)
    for line in scene.lines:
        source, target = rects[line.start], rects[line.end]
        assert line.points[0] == pytest.approx((source.x + source.width / 2, source.bottom), abs=1e-6)
        assert line.points[-1] == pytest.approx((target.x + target.width / 2, target.y), abs=1e-6)
        x, y = np.array(list(samples(line.points))).T
        assert min(x.min(), y.min()) >= 0
        assert x.max() <= scene.width
        assert y.max() <= scene.height
        inside = (x[:, None] > boxes[:, 0] + 0.5) & (x[:, None] < boxes[:, 2] - 0.5)
        inside &= (y[:, None] > boxes[:, 1] + 0.5) & (y[:, None] < boxes[:, 3] - 0.5)
        assert not inside.any(), f"the edge from {line.start} to {line.end} runs through a box"


def check_frames(graph: ArchGraph) -> None:
    """Frames hold the boxes of their block, whole, and no other."""
    plan = outline(graph)
    scene = compose(plan, lay_out(plan), "title", "subtitle", None)
    for group, frame in zip(plan.groups, scene.frames, strict=True):
        for box in scene.boxes:
            rect = box.rect
            if group.first <= box.index <= group.last:
                assert frame.rect.x <= rect.x
                assert rect.right <= frame.rect.right
                assert frame.rect.y <= rect.y
                assert rect.bottom <= frame.rect.bottom
            else:
                assert not frame.rect.overlaps(rect)


@given(graph=drawn_graphs.random_graphs(), fold=st.booleans())
@settings(max_examples=40)
def test_nothing_overlaps_in_random_graphs(graph: ArchGraph, fold: bool) -> None:
    check(scene_of(graph, fold))
    check_frames(graph)


@pytest.mark.parametrize("split", ["test", "wide", "deep", "dense", "bnfree", "search", "predefined"])
def test_nothing_overlaps_in_deepnets(split: str) -> None:
    for index in range(2):
        graph = drawn_graphs.split_graph(split, index)
        check(scene_of(graph))
        check_frames(graph)


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "vit_base_patch16_224"])
@pytest.mark.parametrize("fold", [True, False])
def test_nothing_overlaps_in_the_zoo(name: str, fold: bool) -> None:
    check(scene_of(drawn_graphs.zoo_graph(name), fold))


def test_readers_are_below_what_they_read_within_a_column() -> None:
    scene = scene_of(drawn_graphs.split_graph("test", 0))
    columns = {}
    for line in scene.lines:
        source, target = scene.boxes[line.start].rect, scene.boxes[line.end].rect
        below = target.y >= source.bottom
        columns.setdefault(below, 0)
        columns[below] += 1
        if not below:  # it goes on in a column further right
            assert target.x > source.x
    assert columns[True] > 10 * columns.get(False, 0)


def test_long_graphs_go_on_in_further_columns_and_keep_a_sensible_shape() -> None:
    for name, fold in (("resnet50", True), ("resnet50", False), ("efficientnet_b0", False)):
        scene = scene_of(drawn_graphs.zoo_graph(name), fold)
        assert 0.5 < scene.width / scene.height < 3


def test_a_residual_network_is_drawn_with_straight_skips() -> None:
    """The skip of every block of ResNet-50 is one vertical line once it has left the block's input."""
    plan = outline(drawn_graphs.zoo_graph("resnet50"))
    layout = lay_out(plan)
    long = [
        route
        for (start, end), route in zip(plan.edges, layout.routes, strict=True)
        if plan.nodes(end)[0].type == "sum" and end - start == 7
    ]
    assert long
    for route in long:
        assert len({round(x, 3) for x, _ in route}) == 1
