"""Shortest paths between all nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

#: Stands for "no path" while paths are being worked out; longer paths than the number before it count as that long.
_NONE = np.iinfo(np.int16).max
#: Rows that are finished at a time, so that nothing as large as the result is needed beside it.
_ROWS = 256


def shortest_paths(size: int, edges: Iterable[tuple[int, int]]) -> NDArray[np.int16]:
    """Lengths of the shortest paths in a directed graph whose nodes are in topological order.

    A node reaches what its successors reach, by one edge more. From the last node to the first this is one minimum over
    whole rows for each node, where a search from each node would be a hundred times slower.

    Args:
        size: number of nodes.
        edges: pairs (from, to), with from < to.

    Returns:
        (size, size): 0 on the diagonal and where no path leads.

    Raises:
        ValueError: an edge that does not lead forwards.
    """
    successors: list[list[int]] = [[] for _ in range(size)]
    for start, end in edges:
        if start >= end:
            raise ValueError(f"edge {start} -> {end}: the nodes of a graph must be in topological order")
        successors[start].append(end)
    lengths = np.full((size, size), _NONE, dtype=np.int16)
    for node in range(size - 1, -1, -1):
        ends = successors[node]
        if ends:
            first = min(ends)
            row = lengths[node, first:]
            if len(ends) == 1:
                row[:] = lengths[first, first:]
            elif len(ends) == 2:
                np.minimum(lengths[ends[0], first:], lengths[ends[1], first:], out=row)
            else:
                lengths[ends, first:].min(axis=0, out=row)
            np.add(row, row < _NONE - 1, out=row)
        lengths[node, node] = 0
    for start in range(0, size, _ROWS):
        rows = lengths[start : start + _ROWS]
        rows[rows == _NONE] = 0
    return lengths
