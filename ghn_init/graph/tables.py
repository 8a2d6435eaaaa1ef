"""A graph as tables."""

from __future__ import annotations

import math
from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table

from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.rendering import inert, line, plain_table

#: Nodes of a longer graph that are shown from its start and from its end, and most lines on what is left out.
_FIRST, _LAST, _SHOWN = 24, 8, 12


def summary(graph: ArchGraph) -> RenderableType:
    """Sizes, and what is left out or not understood."""
    sizes = [size for node in graph.nodes for size in _sizes(node)]
    head = f"{len(graph)} nodes, {len(graph.edges)} edges, {graph.traced} trace"
    lines = [line(f"graph: {head}; {len(sizes)} tensors, {sum(sizes):,} parameters")]
    for title, items in (
        ("left out", graph.left_out),
        ("not understood", graph.not_understood),
        ("tied", graph.aliases),
    ):
        lines += [line(f"{title}: {name}: ", value) for name, value in list(items.items())[:_SHOWN]]
        if len(items) > _SHOWN:
            lines.append(line(f"{title}: {len(items) - _SHOWN} more"))
    return Group(*lines)


def counts_table(graph: ArchGraph) -> Table:
    """A row for each node type, the most frequent first: its nodes, their tensors and the elements of these."""
    tensors: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    for node in graph.nodes:
        tensors[node.type] += len(_sizes(node))
        elements[node.type] += sum(_sizes(node))
    table = plain_table("type", "nodes", "tensors", "parameters", right=("nodes", "tensors", "parameters"))
    for node_type, count in graph.counts().most_common():
        table.add_row(inert(node_type), str(count), str(tensors[node_type]), f"{elements[node_type]:,}")
    return table


def nodes_table(graph: ArchGraph, *, whole: bool = False) -> Table:
    """A row for each node; if not `whole`, the middle of a graph of more than 32 nodes is left out."""
    table = plain_table("#", "type", "parameter", "shape", "from", right=("#",))
    hidden = 0 if whole else max(0, len(graph) - _FIRST - _LAST)
    for index, node in enumerate(graph.nodes):
        if not hidden or not _FIRST <= index < _FIRST + hidden:
            shape = "" if node.shape is None else " x ".join(map(str, node.shape))
            names = " + ".join(filter(None, (node.param, node.rider)))
            table.add_row(str(index), inert(node.type), inert(names), shape, inert(node.source))
        elif index == _FIRST:
            table.add_row("...", f"({hidden} more)")
    return table


def _sizes(node: Node) -> list[int]:
    """The elements of each parameter that is predicted from a node."""
    if node.param is None:
        return []
    shape = (node.shape or ()) if node.param_shape is None else node.param_shape
    sizes = [math.prod(shape)]
    if node.rider is not None:
        sizes.append(math.prod(shape if node.rider_shape is None else node.rider_shape))
    return sizes
