"""Shortest paths between all nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Rows that are cleared at a time.
_ROWS = 256


def shortest_paths(size: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.int16]:
    """Lengths of the shortest paths in a directed graph whose nodes are in topological order.

    From the last node to the first: the paths of a node are those of its successors, one longer.

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
    # longer than any path, and so far from the largest number that it may grow by one with every node
    kind = np.int16 if size < np.iinfo(np.int16).max // 2 else np.int32
    far = np.iinfo(kind).max // 2
    lengths = np.full((size, size), far, dtype=kind)
    rows, one = list(lengths), kind(1)
    for node in range(size - 1, -1, -1):
        row = rows[node]
        match successors[node]:
            case []:
                pass
            case [end]:
                np.add(rows[end], one, out=row)
            case [end, other, *others]:
                np.minimum(rows[end], rows[other], out=row)
                for further in others:
                    np.minimum(row, rows[further], out=row)
                np.add(row, one, out=row)
        row[node] = 0
    for first in range(0, size, _ROWS):
        block = lengths[first : first + _ROWS]
        block[block >= far] = 0
    return lengths.astype(np.int16, copy=False)
