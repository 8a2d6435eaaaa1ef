"""From an outline and its layout to a scene: margins, title, legend, tooltips."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ghn_init.drawing.labels import label, size_words
from ghn_init.drawing.layout import Layout
from ghn_init.drawing.outline import Outline
from ghn_init.drawing.palette import in_order, look
from ghn_init.drawing.scene import Arc, Box, Entry, Frame, Line, Point, Rect, Scene
from ghn_init.graph.arch import Node

MARGIN = 24.0
#: Height of the title with what is below it, and that of a line of the legend.
HEAD, LEGEND_LINE = 54.0, 22.0
#: Free height between the legend and the drawing.
_BELOW_LEGEND = 22.0
#: Advance of a character of the legend, and room for its box and the space to the next entry.
_CHARACTER, _ENTRY_PAD = 6.4, 52.0
_NARROWEST = 600.0


def compose(plan: Outline, layout: Layout, title: str, subtitle: str, longest: int | None) -> Scene:
    """The scene.

    Args:
        plan: what is drawn.
        layout: where.
        title: the first line.
        subtitle: the second one.
        longest: the longest virtual edge to draw, None for none.
    """
    # frames stand out to both sides of the boxes
    first = min([0.0, *(rect.x for rect in layout.frames)])
    drawn = max([layout.width, *(rect.right for rect in layout.frames)]) - first
    width = max(drawn, _NARROWEST, 8.6 * len(title), 6.2 * len(subtitle))
    legend, legend_height = _legend(plan, width)
    left = MARGIN + (width - drawn) / 2 - first
    top = MARGIN + HEAD + legend_height + _BELOW_LEGEND

    def moved(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x + left, y + top) for x, y in points)

    def shifted(rect: Rect) -> Rect:
        return dataclasses.replace(rect, x=rect.x + left, y=rect.y + top)

    rects = [shifted(rect) for rect in layout.rects]
    boxes = []
    for index, rect in enumerate(rects):
        nodes = plan.nodes(index)
        boxes.append(Box(index, nodes[0].type, label(nodes), _tooltip(nodes), rect))
    return Scene(
        width=width + 2 * MARGIN,
        height=top + layout.height + MARGIN,
        title=title,
        subtitle=subtitle,
        boxes=tuple(boxes),
        frames=tuple(
            Frame(shifted(rect), group.times, group.words)
            for rect, group in zip(layout.frames, plan.groups, strict=True)
        ),
        lines=tuple(
            Line(start, end, moved(points)) for (start, end), points in zip(plan.edges, layout.routes, strict=True)
        ),
        arcs=() if longest is None else _arcs(plan.virtual_edges(longest), rects),
        legend=legend,
    )


def _tooltip(nodes: Sequence[Node]) -> str:
    """What a pointer over a box shows: its parameters with their shapes, or the operation that it stands for."""
    lines = []
    for node in (nodes[0], nodes[-1]) if len(nodes) > 1 else nodes:
        shape = node.param_shape or node.shape
        names = " + ".join(filter(None, (node.param, node.rider))) or node.source
        lines.append(f"{names} ({size_words(shape)})" if node.param and shape is not None else names)
    joint = "\n" if len(nodes) < 3 else "\n…\n"
    return f"{nodes[0].type}: {joint.join(lines)}"


def _legend(plan: Outline, width: float) -> tuple[tuple[Entry, ...], float]:
    """The entries, in columns of one width, and the height of all."""
    counts = plan.graph.counts()
    words = {name: f"{name}: {look(name).words} ({counts[name]})" for name in in_order(set(counts))}
    entry = max(map(len, words.values())) * _CHARACTER + _ENTRY_PAD
    across = max(1, min(math.floor(width / entry), len(words)))
    lines = math.ceil(len(words) / across)
    entries = []
    for index, (name, text) in enumerate(words.items()):
        column, line = divmod(index, lines)
        rect = Rect(MARGIN + column * entry, MARGIN + HEAD + line * LEGEND_LINE, 22.0, 16.0)
        entries.append(Entry(name, text, rect))
    return tuple(entries), lines * LEGEND_LINE


def _arcs(pairs: dict[tuple[int, int], int], rects: Sequence[Rect]) -> tuple[Arc, ...]:
    """Virtual edges as bows to the right of their boxes, longer ones farther out."""
    arcs = []
    for (start, end), length in sorted(pairs.items()):
        first, last = rects[start], rects[end]
        begin, finish = (first.right, first.y + first.height / 2), (last.right, last.y + last.height / 2)
        out = max(begin[0], finish[0]) + 10 + 9 * length
        arcs.append(Arc(start, end, length, (begin, (out, (begin[1] + finish[1]) / 2), finish)))
    return tuple(arcs)
