"""Statistics of the architectures that a GHN was trained on, and how far another one is from them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ghn_init.graph import Node

Array = NDArray[np.float64]
#: Quantiles that are kept: one for each per cent.
QUANTILES = 101
#: The dimensions of a shape, in the encoder's order.
DIMENSIONS = ("out", "in", "height", "width")


@dataclasses.dataclass(frozen=True)
class TypeStatistics:
    """Nodes of one type.

    Attributes:
        nodes: their number.
        mean: of their states: (hid,).
        seen: the values of each of `DIMENSIONS`, in ascending order; empty for a type without shapes.
    """

    nodes: int
    mean: Array
    seen: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Composition:
    """The shares of node types in graphs.

    Attributes:
        types: node types.
        mean: mean share of each: (types,).
        whitening: (types, types).
    """

    types: tuple[str, ...]
    mean: Array
    whitening: Array

    def distance(self, nodes: Iterable[Node]) -> float:
        """Mahalanobis distance of a graph's shares."""
        return float(np.linalg.norm(self.whitening @ (shares(nodes, self.types) - self.mean)))


@dataclasses.dataclass(frozen=True)
class Exemplar:
    """One of the architectures.

    Attributes:
        name: what it is called.
        rebuild: how to get it, in Python, after `import ghn_init.deepnets`.
        cells: number of its cells; None where it is not made of cells.
        parameters: number of its parameters.
        nodes: number of its graph's nodes.
        place: (rows of `Statistics.whitening`,): the whitened embedding.
    """

    name: str
    rebuild: str
    cells: int | None
    parameters: int
    nodes: int
    place: Array


@dataclasses.dataclass(frozen=True)
class Calibration:
    """From which score on predictions are poor.

    Attributes:
        threshold: the score.
        rule: how it was chosen.
        evidence: what it was chosen on.
    """

    threshold: float
    rule: str
    evidence: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What a GHN was trained on; `ghn_init.explain.stored` says what the attributes are."""

    source: str
    architectures: int
    mean: Array
    whitening: Array
    components: int
    composition: Composition
    quantiles: Array
    types: Mapping[str, TypeStatistics]
    node_whitening: Array
    node_quantiles: Array
    exemplars: tuple[Exemplar, ...]
    calibration: Calibration | None = None

    def place(self, embedding: Array) -> Array:
        """The whitened embedding: its principal components, each with mean 0 and variance 1 in training."""
        return np.asarray(self.whitening @ (embedding - self.mean))

    def score(self, embedding: Array, nodes: Iterable[Node]) -> float:
        """How far a graph is from those trained on: around 1 for these, 0 in their middle.

        The root of the mean of two squared Mahalanobis distances, each divided by its number of dimensions: that of the
        graph's embedding, in the components that count, and that of the shares of node types.

        Args:
            embedding: (hid,): the mean of the nodes' states.
            nodes: of the graph.
        """
        components = self.place(embedding)[: self.components]
        dimensions = max(1, len(self.types) - 1)  # shares have a sum of 1
        squares = (float(components @ components) / self.components, self.composition.distance(nodes) ** 2 / dimensions)
        return math.sqrt(sum(squares) / 2)


def shares(nodes: Iterable[Node], types: Sequence[str]) -> Array:
    """The share of each type among nodes."""
    counts = Counter(node.type for node in nodes)
    return np.array([counts[name] for name in types], dtype=np.float64) / max(1, counts.total())
