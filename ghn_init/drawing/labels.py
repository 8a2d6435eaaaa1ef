"""The words on a box: node type and shape, as short as they can be."""

from __future__ import annotations

from collections.abc import Sequence

from ghn_init.graph.arch import Node

#: Node types whose shape is (out, in, ...) of a weight.
_ELLIPSIS = "…"


def label(nodes: Sequence[Node]) -> str:
    """The label of a box that stands for some nodes of one type.

    Sides that differ between them are given from the first to the last: ``conv 1×1 64…224→128``.
    """
    return f"{nodes[0].type} {shape_words([node.shape for node in nodes])}".rstrip()


def shape_words(shapes: Sequence[tuple[int, ...] | None]) -> str:
    """Kernel sides, then channels: ``3×3 64→128``; sides of 1 that say nothing are left out."""
    sides = [_span(values) for values in zip(*(shape or () for shape in shapes), strict=True)]
    channels, kernel = sides[:2], sides[2:]
    while channels and channels[-1] == "1":
        channels.pop()
    if len(channels) == 2 and channels[0] == "1":
        channels.pop(0)
    return " ".join(filter(None, ("×".join(kernel), "→".join(reversed(channels)))))


def size_words(shape: Sequence[int]) -> str:
    """A shape in full: ``64 × 3 × 7 × 7``; "one number" for none."""
    return " × ".join(map(str, shape)) or "one number"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"{values[0]}{_ELLIPSIS}{values[-1]}"
