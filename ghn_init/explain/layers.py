"""Which nodes of a network are least like those that a GHN was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ghn_init.explain.score import percentile
from ghn_init.explain.shapes import strange_parts
from ghn_init.explain.statistics import Array, Statistics
from ghn_init.explain.words import node_words
from ghn_init.graph import ArchGraph
from ghn_init.hypernet import GHN

#: From this percentile on, a node's state itself is a reason.
RARE = 99.0


@dataclasses.dataclass(frozen=True)
class StrangeNode:
    """One node.

    Attributes:
        node: its index in the graph.
        type: its node type.
        name: the parameter that is predicted from it, or where the operation comes from.
        shape: the shape as the GHN sees it.
        distance: Mahalanobis distance of its state from the mean of its type; None for a type that was never seen.
        percentile: share of the nodes seen in training that were nearer to theirs, from 0 to 100.
        reasons: what is strange about it, in words; empty if nothing is.
    """

    node: int
    type: str
    name: str
    shape: tuple[int, ...] | None
    distance: float | None
    percentile: float
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        data = dataclasses.asdict(self)
        return data | {"shape": None if self.shape is None else list(self.shape), "reasons": list(self.reasons)}


def strange_nodes(ghn: GHN, graph: ArchGraph, states: Array, statistics: Statistics) -> list[StrangeNode]:
    """All nodes, the least familiar first: by what is new about their type and shape, then by distance.

    Args:
        ghn: the GHN.
        graph: the network in the GHN's vocabulary.
        states: (nodes, hid).
        statistics: of the GHN.
    """
    distances = node_distances(graph, states, statistics)
    found, new = [], []
    for index, (node, distance) in enumerate(zip(graph.nodes, distances, strict=True)):
        reasons = strange_parts(ghn, node, statistics.types.get(node.type))
        new.append(len(reasons))
        rank = 100.0 if distance is None else percentile(distance, statistics.node_quantiles)
        if distance is not None and rank >= RARE:
            share = "all" if rank >= 100 else f"{rank:.1f} %"
            reasons.append(f"its place in the graph: farther from other {node.type} nodes than {share} of those seen")
        found.append(StrangeNode(index, node.type, node_words(node), node.shape, distance, rank, tuple(reasons)))
    return sorted(found, key=lambda node: (-new[node.node], -_number(node.distance), node.node))


def node_distances(graph: ArchGraph, states: Array, statistics: Statistics) -> list[float | None]:
    """Mahalanobis distance of each node's state from the mean of its type; None for a type that was never seen."""
    means = [statistics.types[node.type].mean if node.type in statistics.types else None for node in graph.nodes]
    centres = np.stack([row if mean is None else mean for row, mean in zip(states, means, strict=True)])
    distances: Sequence[float] = np.linalg.norm((states - centres) @ statistics.node_whitening.T, axis=1).tolist()
    return [None if mean is None else distance for mean, distance in zip(means, distances, strict=True)]


def _number(distance: float | None) -> float:
    return float("inf") if distance is None else distance
