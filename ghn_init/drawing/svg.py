"""A scene as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from ghn_init.drawing.layout import FRAME_STRIP as STRIP
from ghn_init.drawing.palette import INK, MARKERS, look
from ghn_init.drawing.scene import Box, Frame, Point, Rect, Scene, steps

FONT = "'DejaVu Sans', Verdana, 'Segoe UI', Helvetica, Arial, sans-serif"
PAPER, EDGE, FAINT, FRAME, FRAME_FILL = "#ffffff", "#4b5563", "#4b5563", "#6b7280", "#f4f5f7"
ARC = "#a13d8b"

# What XML cannot hold, whatever the escapes: control characters, halves of surrogate pairs, and two others.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """The text with what XML cannot hold, and marks that turn the direction of writing, shown as a replacement."""
    return re.sub("[\u202a-\u202e\u2066-\u2069]", "\ufffd", _UNFIT.sub("\ufffd", text))


def svg(scene: Scene, size: tuple[int, int] | None = None, *, standalone: bool = True, name: str = "") -> str:
    """The picture as SVG.

    Nodes are groups of class ``node`` with ``data-box``, edges paths of class ``edge`` with ``data-from`` and
    ``data-to``, which are numbers of boxes; folded blocks are groups of class ``block`` with ``data-times``.

    Args:
        scene: what to draw.
        size: width and height in pixels; by default one pixel for each unit of the scene.
        standalone: whether it is for a file of its own; if not, the background, the title and the legend are left out.
        name: what the ids of its parts begin with, so that several pictures fit into one page.
    """
    shown = f"0 0 {_number(scene.width)} {_number(scene.height)}"
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": shown, "font-family": FONT})
    width, height = size or (scene.width, scene.height)
    root.attrib.update({"width": _number(width), "height": _number(height)})
    if standalone:
        root.attrib.update({"role": "img", "aria-label": clean(f"{scene.title}. {scene.subtitle}")})
        _element(root, "title", text=scene.title)
        _element(root, "rect", {"class": "paper", "width": "100%", "height": "100%", "fill": PAPER})
    marks = _element(root, "defs")
    arrow = {"id": f"{name}arrow", "viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "6"}
    head = _element(marks, "marker", arrow | {"markerHeight": "6", "orient": "auto", "markerUnits": "userSpaceOnUse"})
    _element(head, "path", {"class": "head", "d": "M0 0.8 8 4 0 7.2Z", "fill": EDGE})
    whole = _element(root, "g", {"class": "view"})
    if standalone:
        _heading(whole, scene)
    blocks = _element(whole, "g", {"class": "blocks"})
    for frame in scene.frames:
        _frame(blocks, frame)
    edges = _element(whole, "g", {"class": "edges", "fill": "none", "stroke": EDGE, "stroke-width": "1.2"})
    for line in scene.lines:
        ends = {"class": "edge", "data-from": str(line.start), "data-to": str(line.end)}
        _element(edges, "path", ends | {"d": _path(line.points), "marker-end": f"url(#{name}arrow)"})
    if scene.arcs:
        thin = {"fill": "none", "stroke": ARC, "stroke-width": "0.8", "stroke-dasharray": "3 2"}
        arcs = _element(whole, "g", {"class": "virtual", **thin})
        for arc in scene.arcs:
            start, control, end = (" ".join(map(_number, point)) for point in arc.points)
            ends = {"data-from": str(arc.start), "data-to": str(arc.end), "data-length": str(arc.length)}
            fade = {"stroke-opacity": _number(max(0.25, 1.4 / arc.length))}
            _element(arcs, "path", ends | fade | {"d": f"M{start}Q{control} {end}"})
    nodes = _element(whole, "g", {"class": "nodes", "font-size": "11"})
    for box in scene.boxes:
        _box(nodes, box)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _heading(parent: ElementTree.Element, scene: Scene) -> None:
    at = {"x": "24", "fill": INK}
    _element(parent, "text", at | {"y": "42", "font-size": "17", "font-weight": "bold"}, scene.title)
    _element(parent, "text", {"x": "24", "fill": FAINT, "y": "61", "font-size": "11"}, scene.subtitle)
    legend = _element(parent, "g", {"class": "legend", "font-size": "11", "fill": INK})
    for entry in scene.legend:
        group = _element(legend, "g", {"data-type": clean(entry.type)})
        _shape(group, entry.type, entry.rect, entry.rect.x + entry.rect.width / 2)
        at = {"x": _number(entry.rect.right + 8), "y": _number(entry.rect.y + 12)}
        _element(group, "text", at, entry.words)


def _frame(parent: ElementTree.Element, frame: Frame) -> None:
    group = _element(parent, "g", {"class": "block", "data-times": str(frame.times)})
    border = {"fill": FRAME_FILL, "stroke": FRAME, "stroke-dasharray": "5 3", "rx": "7"}
    _element(group, "rect", _sides(frame.rect) | border)
    x, y = frame.rect.x + STRIP / 2 + 2, frame.rect.y + 17
    times = {"x": _number(x), "y": _number(y), "font-size": "12", "font-weight": "bold", "text-anchor": "middle"}
    _element(group, "text", times | {"fill": INK}, f"×{frame.times}")
    if frame.words:
        words = shortened(frame.words, int((frame.rect.height - 34) / 6.0))
        turned = {"transform": f"translate({_number(x + 4)} {_number(frame.rect.bottom - 8)}) rotate(-90)"}
        _element(group, "text", turned | {"font-size": "10.5", "fill": FAINT}, words)
        _element(group, "title", text=f"{frame.times} blocks: {frame.words}")


def shortened(text: str, most: int) -> str:
    """The text without its beginning where it is longer than that many characters."""
    return text if len(text) <= most else f"…{text[len(text) - max(1, most - 1) :]}"


def _box(parent: ElementTree.Element, box: Box) -> None:
    group = _element(parent, "g", {"class": "node", "data-box": str(box.index), "data-type": clean(box.type)})
    _element(group, "title", text=box.title)
    _shape(group, box.type, box.rect, box.rect.x + 13)
    at = {"x": _number(box.rect.x + 25), "y": _number(box.rect.y + box.rect.height / 2 + 4), "fill": INK}
    _element(group, "text", at, box.label)


def _shape(parent: ElementTree.Element, node_type: str, rect: Rect, x: float) -> None:
    """A box in the colours of a type, with its marker in the middle at `x`."""
    style, y, radius = look(node_type), rect.y + rect.height / 2, 4.5
    _element(parent, "rect", _sides(rect) | {"rx": "4", "fill": style.fill, "stroke": style.stroke})
    corners = MARKERS[style.marker]
    if corners:
        points = " ".join(f"{_number(x + radius * dx)},{_number(y + radius * dy)}" for dx, dy in corners)
        _element(parent, "polygon", {"points": points, "fill": style.stroke})
    else:
        _element(parent, "circle", {"cx": _number(x), "cy": _number(y), "r": _number(radius), "fill": style.stroke})


def _path(points: Sequence[Point]) -> str:
    text = f"M{_pair(points[0])}"
    for step in steps(points):
        if step.controls is None:
            text += f"L{_pair(step.end)}"
        else:
            text += f"C{' '.join(map(_pair, (*step.controls, step.end)))}"
    return text


def _sides(rect: Rect) -> dict[str, str]:
    sides = {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height}
    return {name: _number(value) for name, value in sides.items()}


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _element(
    parent: ElementTree.Element, tag: str, attributes: dict[str, str] | None = None, text: str | None = None
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes or {})
    element.text = None if text is None else clean(text)
    return element
