"""Shortest paths between all nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

#: Nodes that paths are found from at a time: scipy's result takes four times the memory of ours.
_ROWS = 256


def shortest_paths(size: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.int16]:
    """Lengths of the shortest paths in a directed graph whose nodes are in topological order.

    Args:
        size: number of nodes.
        edges: pairs (from, to), with from < to.

    Returns:
        (size, size): 0 on the diagonal and where no path leads.

    Raises:
        ValueError: an edge that does not lead forwards.
    """
    lengths = np.zeros((size, size), dtype=np.int16)
    if not edges:
        return lengths
    starts, ends = np.asarray(edges, dtype=np.int32).T
    if (starts >= ends).any():
        wrong = int((starts >= ends).argmax())
        raise ValueError(f"edge {starts[wrong]} -> {ends[wrong]}: the nodes of a graph must be in topological order")
    adjacency = csr_array((np.ones(len(starts), dtype=np.float32), (starts, ends)), shape=(size, size))
    for first in range(0, size, _ROWS):
        rows = dijkstra(adjacency, indices=np.arange(first, min(first + _ROWS, size)), unweighted=True)
        rows[np.isinf(rows)] = 0
        lengths[first : first + _ROWS] = rows
    return lengths
