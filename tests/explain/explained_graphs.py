"""Small graphs and GHNs that the tests of `ghn_init.explain` share."""

from __future__ import annotations

import numpy as np
import torch

from ghn_init.graph import ArchGraph, Node
from ghn_init.hypernet import GHN, GHNConfig

CONV, BN, BIAS = "conv", "bn", "bias"


def small_ghn(gnn: str = "gatedgnn", **options: object) -> GHN:
    """A GHN of width 8 with random weights, those of the last layers as large as the others."""
    settings = {"hid": 8, "heads": 2, "layers": 2, "max_shape": (4, 4, 3, 3), "cutoff": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GHN(GHNConfig(gnn=gnn, **{**settings, **options})).eval()  # type: ignore[arg-type]


def weight(name: str, out: int = 4, inner: int = 4, side: int = 3) -> Node:
    """The node of a convolution's weight."""
    return Node(CONV, name, (out, inner, side, side), source=name)


def chain(count: int = 4) -> ArchGraph:
    """An input and so many convolutions one after the other."""
    nodes = (
        Node("input", source="x"),
        *(weight(f"{number}.weight", 4, 4, 1 + 2 * (number % 2)) for number in range(count)),
    )
    return ArchGraph(nodes, tuple((place, place + 1) for place in range(count)))


def forked() -> ArchGraph:
    """An input that two branches read, each with an output of its own: nodes 1, 2 and nodes 3, 4."""
    names = ("left.0", "left.1", "right.0", "right.1")
    return ArchGraph((Node("input", source="x"), *(weight(name) for name in names)), ((0, 1), (1, 2), (0, 3), (3, 4)))


def random_graph(seed: int) -> ArchGraph:
    """A graph of 4 to 10 nodes of three types, each reading one or two before it."""
    rng = np.random.default_rng(seed)
    nodes, edges = [Node("input", source="x")], []
    for place in range(1, int(rng.integers(4, 11))):
        channels, side = int(rng.choice([1, 3, 8, 16])), int(rng.choice([1, 3]))
        shapes = {CONV: (channels, 8, side, side), BN: (channels,), BIAS: (channels,)}
        node_type = str(rng.choice(list(shapes)))
        nodes.append(Node(node_type, f"p{place}", shapes[node_type], source=f"p{place}"))
        edges += [(int(start), place) for start in {int(rng.integers(place)), place - 1}]
    return ArchGraph(tuple(nodes), tuple(sorted(edges)))
