"""The architectures of a GHN's training that are nearest to a network."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ghn_init.explain.statistics import Array, Statistics


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An architecture that was, or could have been, trained on.

    Attributes:
        name: what it is called.
        rebuild: how to get it, in Python, after `import ghn_init.deepnets`; empty if that is not known.
        distance: between the two embeddings, in the largest principal components, each scaled to unit variance.
        cells: number of its cells; None where it is not made of cells.
        parameters: number of its parameters.
        nodes: number of its graph's nodes.
    """

    name: str
    rebuild: str
    distance: float
    cells: int | None
    parameters: int
    nodes: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return dataclasses.asdict(self)


def nearest(embedding: Array, statistics: Statistics, count: int) -> tuple[Neighbour, ...]:
    """The exemplars nearest to an embedding, the nearest first.

    Args:
        embedding: (hid,).
        statistics: of the GHN.
        count: how many.
    """
    places = np.stack([one.place for one in statistics.exemplars])
    distances = np.linalg.norm(places - statistics.place(embedding), axis=1)
    return tuple(
        Neighbour(one.name, one.rebuild, float(distances[index]), one.cells, one.parameters, one.nodes)
        for index in np.argsort(distances, kind="stable")[:count]
        for one in [statistics.exemplars[index]]
    )
