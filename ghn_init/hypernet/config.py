"""The configuration of a Graph HyperNetwork."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal

from ghn_init.graph.arch import NODE_TYPES, VIRTUAL_EDGE_CUTOFF

GNNKind = Literal["graphormer", "gatedgnn", "mlp"]
DecoderKind = Literal["conv", "mlp", "lowrank"]

#: Rows of the Graphormer's distance embedding: two lead rows, then distances 0 to 254.
DISTANCE_ROWS = 257
#: Rows of the distance embedding before that of distance 0; the released files keep them, nothing reads them.
DISTANCE_LEAD = 2

_POSITIVE = ("num_classes", "hid", "layers", "heads", "rank", "factor_rows", "cutoff")


@dataclasses.dataclass(frozen=True)
class GHNConfig:
    """Architecture of a GHN; with the weights it is all that a checkpoint consists of.

    Attributes:
        max_shape: largest block that the decoder makes before tiling: (out channels, in channels, height, width).
        num_classes: classes of the data set that the GHN was trained on; heads of this size are predicted.
        hid: width of the node states.
        gnn: "graphormer" (GHN-3; Knyazev et al., 2023), "gatedgnn" (GHN-1 and GHN-2), or "mlp", which ignores edges.
        layers: Graphormer layers.
        heads: attention heads of a Graphormer layer; divides `hid`.
        decoder: "conv" (GHN-2, GHN-3), "mlp" (GHN-1), or "lowrank" (LoGAH; Zhou et al., 2024), whose `max_shape` may
            be as wide as the widest networks: its size does not depend on it.
        rank: of the matrices that the low-rank decoder makes.
        factor_rows: rows of their two factors: the most that channels times kernel side may come to.
        virtual_edges: whether nodes exchange messages along shortest paths too (Knyazev et al., 2021, eq. 4).
        layernorm: layer norm on the node states before decoding.
        weight_norm: fan-in normalisation of the predictions (Knyazev et al., 2021, section 4.2).
        centred_kernels: whether kernels smaller than the largest are cut from its centre (GHN-3) or corner (GHN-2).
        cutoff: longest shortest path that makes a virtual edge.
        node_types: the vocabulary, in the row order of the node embedding.

    Raises:
        ValueError: a value that no GHN can have, named.
    """

    max_shape: tuple[int, int, int, int] = (64, 64, 11, 11)
    num_classes: int = 10
    hid: int = 64
    gnn: GNNKind = "graphormer"
    layers: int = 3
    heads: int = 8
    decoder: DecoderKind = "conv"
    rank: int = 32
    factor_rows: int = 2**15
    virtual_edges: bool = True
    layernorm: bool = True
    weight_norm: bool = True
    centred_kernels: bool = True
    cutoff: int = VIRTUAL_EDGE_CUTOFF
    node_types: tuple[str, ...] = NODE_TYPES

    def __post_init__(self) -> None:
        problems = [message for holds, message in self._conditions() if not holds]
        if problems:
            raise ValueError("impossible GHN configuration: " + "; ".join(problems))

    def _conditions(self) -> list[tuple[bool, str]]:
        positive = {name: getattr(self, name) for name in _POSITIVE}
        checks = [(value >= 1, f"{name} is {value}, must be at least 1") for name, value in positive.items()]
        block, graphormer = self.max_shape, self.gnn == "graphormer"
        sized = len(block) == 4 and min(block) >= 1
        # the largest kernels, and two vectors at once
        rows = max(block[:2], default=0) * max((2, *block[2:]))
        return [
            *checks,
            (sized, f"max_shape is {block}, must be four numbers of at least 1"),
            (not sized or block[2] == block[3], f"max_shape is {block}, its height and width must be equal"),
            (self.gnn in typing.get_args(GNNKind), f"gnn is {self.gnn!r}, must be one of {typing.get_args(GNNKind)}"),
            (
                self.decoder in typing.get_args(DecoderKind),
                f"decoder is {self.decoder!r}, must be one of {typing.get_args(DecoderKind)}",
            ),
            (self.hid % 4 == 0, f"hid is {self.hid}, must be a multiple of 4 (one quarter for each shape dimension)"),
            (
                not graphormer or self.heads < 1 or self.hid % self.heads == 0,
                f"heads is {self.heads}, must divide hid, which is {self.hid}",
            ),
            (
                not graphormer or self.cutoff < DISTANCE_ROWS - DISTANCE_LEAD,
                f"cutoff is {self.cutoff}, a Graphormer knows distances up to {DISTANCE_ROWS - DISTANCE_LEAD - 1}",
            ),
            (
                self.decoder != "mlp" or not sized or block[0] == block[1],
                f"max_shape is {block}, the mlp decoder needs as many out as in channels",
            ),
            (
                self.decoder != "lowrank" or not sized or self.factor_rows >= rows,
                f"factor_rows is {self.factor_rows}, max_shape {block} needs {rows}",
            ),
            (
                0 < len(set(self.node_types)) == len(self.node_types),
                "node_types must name at least one type, and none twice",
            ),
        ]

    @property
    def reach(self) -> int:
        """Longest shortest path that counts as an edge: `cutoff`, or 1 without virtual edges."""
        return self.cutoff if self.virtual_edges else 1

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types; `from_dict` reads it back."""
        data = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GHNConfig:
        """Inverse of `to_dict`; keys left out take their defaults.

        Raises:
            ValueError: unknown keys, wrong types or impossible values, each named.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"a GHN configuration is a mapping, not {type(data).__name__}")
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        problems = [f"unknown key {key!r}" for key in data if key not in defaults]
        problems += [
            f"{key} is {value!r}, must be {_wanted(defaults[key])}"
            for key, value in data.items()
            if key in defaults and not _fits(value, defaults[key])
        ]
        if problems:
            raise ValueError("not a GHN configuration: " + "; ".join(problems))
        values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in data.items()}
        return cls(**values)


def _fits(value: Any, example: Any) -> bool:
    if isinstance(example, tuple):
        return isinstance(value, (list, tuple)) and all(type(item) is type(example[0]) for item in value)
    return type(value) is type(example)


def _wanted(example: Any) -> str:
    if isinstance(example, tuple):
        return f"a list of {type(example[0]).__name__}"
    return f"of type {type(example).__name__}"
