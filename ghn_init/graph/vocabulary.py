"""Node types beyond the 15 of DeepNets-1M, and how a GHN reads a graph whose types it does not know.

`trace` names all that it sees. A checkpoint's config says which types its GHN was trained on; a further type that is
not among them is read as another one or, as in the published graphs, is no node at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.graph.contract import contract

#: The further node types, each with the type that takes its place where it is not known; None for no node.
FURTHER_TYPES: dict[str, str | None] = {
    "layer_scale": None,  # a learned factor on the data: for each channel, each head, or one for all
    "token": None,  # learned vectors that join the data: class and register tokens, queries, latents
    "rel_pos": None,  # a learned table added to attention scores
    "mul": None,  # a product of two branches: gated MLPs and the like
    "embedding": "pos_enc",  # a table looked up by the data
    "rnn": "conv",  # a weight matrix of a recurrent layer
}


def restricted(graph: ArchGraph, node_types: Collection[str]) -> ArchGraph:
    """The graph as a GHN of the given vocabulary reads it.

    Args:
        graph: any graph.
        node_types: the vocabulary. Types that are neither in it nor in `FURTHER_TYPES` stay, and the GHN refuses them.

    Returns:
        `graph` itself where nothing changes. Parameters of nodes that are no longer there are in `left_out`.
    """
    if not any(node.type in FURTHER_TYPES and node.type not in node_types for node in graph.nodes):
        return graph
    known = graph.__dict__.setdefault("_restricted", {})  # training reads the same graphs again and again
    key = frozenset(node_types)
    if key not in known:
        known[key] = _restrict(graph, key)
    narrow: ArchGraph = known[key]
    return narrow


def _restrict(graph: ArchGraph, node_types: Collection[str]) -> ArchGraph:
    replaced = [_replaced(node, node_types) for node in graph.nodes]
    feeds = [frozenset[int]() for _ in graph.nodes]
    for start, end in graph.edges:
        feeds[end] |= {start}
    gone_types = FURTHER_TYPES.keys() - set(node_types)
    types = [node.type for node in replaced]
    kept, feeds = contract(types, feeds, [node_type in gone_types for node_type in types])
    order = [index for index, keep in enumerate(kept) if keep]
    position = {index: place for place, index in enumerate(order)}
    gone = [node for node, keep in zip(replaced, kept, strict=True) if not keep]
    left_out = {
        name: f"the checkpoint's vocabulary has no {node.type!r} nodes"
        for node in gone
        for name in (node.param, node.rider)
        if name is not None
    }
    return dataclasses.replace(
        graph,
        nodes=tuple(replaced[index] for index in order),
        edges=tuple((position[start], position[end]) for end in order for start in sorted(feeds[end])),
        left_out={**graph.left_out, **left_out},
    )


def _replaced(node: Node, node_types: Collection[str]) -> Node:
    instead = FURTHER_TYPES.get(node.type)
    return node if instead is None or node.type in node_types else dataclasses.replace(node, type=instead)
