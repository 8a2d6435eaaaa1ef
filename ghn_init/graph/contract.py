"""Taking nodes out of a graph so that what remains keeps its connections."""

from __future__ import annotations

from collections.abc import Sequence

#: Index of the input among the nodes.
INPUT = 0
#: A join of fewer than two distinct nodes says nothing.
JOINS = frozenset({"sum", "concat"})


def contract(
    types: Sequence[str], feeds: Sequence[frozenset[int]], gone: Sequence[bool]
) -> tuple[list[bool], list[frozenset[int]]]:
    """Takes out some nodes, and joins that are left with a single node; their neighbours are joined to each other.

    Args:
        types: node types, in topological order, the input first.
        feeds: for each node, those that data comes from.
        gone: for each node, whether to take it out.

    Returns:
        Which nodes are kept, and for each node the kept ones that its data comes from.
    """
    kept: list[bool] = []
    remaining: list[frozenset[int]] = []
    for index, node_type in enumerate(types):
        through: set[int] = set()
        for source in feeds[index]:
            through.update({source} if kept[source] else remaining[source])
        if len(through) > 1:
            through.discard(INPUT)
        remaining.append(frozenset(through))
        kept.append(not gone[index] and not (node_type in JOINS and len(through) < 2))
    return kept, remaining
