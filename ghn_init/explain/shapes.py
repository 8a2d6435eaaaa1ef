"""Shapes as a GHN's encoder tells them apart, and what about a node was never seen in training."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ghn_init.explain.statistics import TypeStatistics
from ghn_init.graph import Node
from ghn_init.hypernet import GHN
from ghn_init.hypernet.encoder import four_dimensions

_CHANNELS = ("out channels", "in channels")
#: The same for vectors.
_LENGTH = ("channels", "")


def known_shape(ghn: GHN, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """A shape as (out channels, in channels, height, width), each the nearest that has an embedding of its own."""
    tables = ghn.encoder.rows()
    channels, sides = tables["channels.weight"], tables["sides.weight"]
    out, inner, height, width = ghn.encoder.shape_rows(shape)
    return int(channels[out]), int(channels[inner]), int(sides[height]), int(sides[width])


def strange_parts(ghn: GHN, node: Node, seen: TypeStatistics | None) -> list[str]:
    """What about a node's type and shape was never seen in training, in words; nothing if all of it was.

    Args:
        ghn: the GHN.
        node: of its vocabulary.
        seen: the statistics of nodes of its type; None if there were none.
    """
    if seen is None:
        return [f"no {node.type} node was seen"]
    if not node.shape or not seen.seen:
        return []
    actual, known = four_dimensions(node.shape), _told_apart(ghn, node.shape)
    unseen = [row not in values for row, values in zip(known, seen.seen, strict=True)]
    parts = [
        f"{actual[place]} {name}, {_seen_words(known[place], seen.seen[place])}"
        for place, name in enumerate(_CHANNELS if len(node.shape) > 1 else _LENGTH)
        if unseen[place]
    ]
    if any(unseen[2:]):
        side, place = max((known[place], place) for place in (2, 3) if unseen[place])
        parts.append(f"kernel {actual[2]} x {actual[3]}, {_seen_words(side, seen.seen[place])}")
    return parts


def _told_apart(ghn: GHN, shape: Sequence[int]) -> tuple[int, ...]:
    """As `known_shape`, but sizes beyond the largest with an embedding stay what they are: it stands for them badly."""
    largest = known_shape(ghn, (sys.maxsize,) * 4)
    pairs = zip(four_dimensions(shape), known_shape(ghn, shape), largest, strict=True)
    return tuple(actual if actual > most else known for actual, known, most in pairs)


def _seen_words(row: int, values: Sequence[int]) -> str:
    """What was seen around a size that was not."""
    below, above = [value for value in values if value < row], [value for value in values if value > row]
    if not above:
        return f"seen up to {below[-1]}"
    if not below:
        return f"seen from {above[0]} on"
    return f"seen {below[-1]} and {above[0]}"
