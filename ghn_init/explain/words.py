"""Nodes of a graph in words."""

from __future__ import annotations

from collections.abc import Sequence

from ghn_init.graph import Node


def node_words(node: Node) -> str:
    """What tells a node from others: the parameter that is predicted from it, or where it comes from."""
    return node.param or node.source or node.type


def shape_words(shape: Sequence[int] | None) -> str:
    """A shape such as "64 x 3 x 7 x 7"; nothing for none."""
    return "" if shape is None else " x ".join(map(str, shape))
