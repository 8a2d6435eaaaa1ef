"""The graph of node types that a Graph HyperNetwork reads."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from rich.console import Console

from ghn_init.graph.paths import shortest_paths
from ghn_init.rendering import Rendered

#: The 15 node types of DeepNets-1M (Knyazev et al., 2021, section 3.1),
#: in the rows' order of the released ``embed.weight``.
NODE_TYPES: tuple[str, ...] = (
    "max_pool",
    "avg_pool",
    "sep_conv",
    "dil_conv",
    "conv",
    "msa",
    "cse",
    "sum",
    "concat",
    "input",
    "bias",
    "bn",
    "ln",
    "pos_enc",
    "glob_avg",
)

#: Paths longer than this carry no virtual edge (Knyazev et al., 2021, section 4.1).
VIRTUAL_EDGE_CUTOFF = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One node of an `ArchGraph`.

    Attributes:
        type: node type, one of `NODE_TYPES` (or of a checkpoint's own vocabulary).
        param: qualified name of the parameter predicted from this node, None for an operation without one.
        shape: the shape as the GHN sees it: that of `param`, with position tables as ``(1, channels, side, side)`` and
            1x1 convolutional heads as ``(classes, channels)``; ``(1, 1, height, width)`` of the window for a pooling
            node; None otherwise.
        param_shape: the shape of `param` in the module.
        rider: name of a second parameter predicted from the same node (the bias of a norm or a recurrent layer).
        rider_shape: its shape, where that is not the shape of `param`.
        head: whether this is a parameter of the classifier head, or of one of several whose outputs are averaged.
        source: path of the module, or name of the operation, that this node stands for.
    """

    type: str
    param: str | None = None
    shape: tuple[int, ...] | None = None
    param_shape: tuple[int, ...] | None = None
    rider: str | None = None
    head: bool = False
    source: str = ""
    rider_shape: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class ArchGraph(Rendered):
    """A network as a directed acyclic graph of `Node`, in topological order, the input first.

    Attributes:
        nodes: the nodes.
        edges: pairs (from, to) of indices into `nodes`, without virtual edges.
        left_out: parameters that no node covers, each with the reason.
        not_understood: operations that no rule covers, with the number of their occurrences.
        traced: how the trace was made, "symbolic" or "shapes".
        aliases: further names of a parameter with several (tied), each with the name that the graph uses.
        scale_free: weights whose scale changes nothing (`ghn_init.graph.scale`); no part of what makes graphs equal.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    not_understood: dict[str, int] = dataclasses.field(default_factory=dict)
    traced: str = "symbolic"
    aliases: dict[str, str] = dataclasses.field(default_factory=dict)
    scale_free: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"ArchGraph({len(self)} nodes, {len(self.edges)} edges, {self.traced} trace)"

    def __rich_console__(self, console: Console, options: Any) -> Any:
        from ghn_init.graph.tables import counts_table, nodes_table, summary

        yield summary(self)
        if self.nodes:
            yield from ("", counts_table(self), "", nodes_table(self))

    @cached_property
    def distances(self) -> torch.Tensor:
        """Shortest-path lengths along the edges: int16, (nodes, nodes); 0 on the diagonal and where no path leads."""
        return torch.from_numpy(shortest_paths(len(self.nodes), self.edges))

    def adjacency(self, cutoff: int = VIRTUAL_EDGE_CUTOFF) -> torch.Tensor:
        """`distances` with paths longer than `cutoff` set to 0 (no edge): int16, (nodes, nodes)."""
        return self.distances.where(self.distances <= cutoff, 0)

    def n_virtual_edges(self, cutoff: int = VIRTUAL_EDGE_CUTOFF) -> int:
        """Number of node pairs joined by a shortest path of 2 to `cutoff` edges."""
        return int(((self.distances > 1) & (self.distances <= cutoff)).sum())

    def counts(self) -> Counter[str]:
        """Number of nodes of each type."""
        return Counter(node.type for node in self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain lists and dicts, for JSON; `from_dict` reads it back."""
        return {
            "nodes": [dataclasses.asdict(node) for node in self.nodes],
            "edges": [list(edge) for edge in self.edges],
            "left_out": self.left_out,
            "not_understood": self.not_understood,
            "traced": self.traced,
            "aliases": self.aliases,
            "scale_free": sorted(self.scale_free),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ArchGraph:
        """Inverse of `to_dict`."""

        def tuples(node: dict[str, Any]) -> dict[str, Any]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in node.items()}

        return cls(
            nodes=tuple(Node(**tuples(node)) for node in data["nodes"]),
            edges=_pairs(data["edges"]),
            left_out=dict(data.get("left_out", {})),
            not_understood=dict(data.get("not_understood", {})),
            traced=data.get("traced", "symbolic"),
            aliases=dict(data.get("aliases", {})),
            scale_free=frozenset(data.get("scale_free", ())),
        )


def _pairs(edges: Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(edge[0]), int(edge[1])) for edge in edges)
