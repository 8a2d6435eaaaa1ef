"""The places of a column's boxes and of the edges that pass them, from left to right.

igraph orders each row (the crossing reduction of Sugiyama et al., 1981), and HiGHS finds the places that keep this
order and make edges as straight as can be: the linear programme of Gansner et al. (1993, section 4.2), which weighs
the bends of long edges most.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from ghn_init.drawing.errors import needed

#: Weight of a bend: between two boxes, between a box and a passing edge, between two pieces of one edge.
_BENDS = (1.0, 2.0, 8.0)


@dataclasses.dataclass(frozen=True)
class Item:
    """Something that takes room in a row: a box, or an edge that passes.

    Attributes:
        row: its row, from 0.
        width: the room that it takes.
        passing: whether it is an edge that passes.
    """

    row: int
    width: float
    passing: bool


def places(items: Sequence[Item], links: Sequence[tuple[int, int]], gap: float) -> list[float]:
    """The middle of each item, the leftmost item beginning at 0.

    Args:
        items: what is to be placed, at least one.
        links: pairs of items, the second one row below the first.
        gap: free room between items of a row.
    """
    ordered = _ordered(items, links)
    across = [pair for row in ordered for pair in itertools.pairwise(row)]
    count, bends = len(items), len(links)
    # minimise the sum of weight * bend, where bend >= |x[start] - x[end]| and neighbours keep their distance
    weight = [_BENDS[items[start].passing + items[end].passing] for start, end in links]
    cost = np.concatenate([np.full(count, 1e-6), weight])
    starts = np.array([link[0] for link in links], dtype=np.int64)
    ends = np.array([link[1] for link in links], dtype=np.int64)
    bend = np.arange(bends)
    ones = np.ones(bends)
    left = np.array([pair[0] for pair in across], dtype=np.int64)
    right = np.array([pair[1] for pair in across], dtype=np.int64)
    apart = 2 * bends + np.arange(len(across))
    near = np.ones(len(across))
    values = np.concatenate([ones, -ones, -ones, -ones, ones, -ones, near, -near])
    where = (
        np.concatenate([bend, bend, bend, bends + bend, bends + bend, bends + bend, apart, apart]),
        np.concatenate([starts, ends, count + bend, starts, ends, count + bend, left, right]),
    )
    matrix = coo_array((values, where), shape=(2 * bends + len(across), count + bends)).tocsr()
    distances = [-(items[one].width + items[other].width) / 2 - gap for one, other in across]
    limit = np.concatenate([np.zeros(2 * bends), distances])
    lowest = [(item.width / 2, None) for item in items] + [(0.0, None)] * bends
    solved = linprog(cost, A_ub=matrix, b_ub=limit, bounds=lowest, method="highs")
    found: list[float] = solved.x[:count].tolist()
    return found


def _ordered(items: Sequence[Item], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The items of each row from left to right."""
    igraph = needed("igraph")
    graph = igraph.Graph(n=len(items), edges=list(links), directed=True)
    layout = graph.layout_sugiyama(layers=[item.row for item in items], maxiter=200)
    rows: list[list[int]] = [[] for _ in range(max(item.row for item in items) + 1)]
    for index in sorted(range(len(items)), key=lambda index: (layout[index][0], index)):
        rows[items[index].row].append(index)
    return rows
