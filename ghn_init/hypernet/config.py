"""The configuration of a Graph HyperNetwork."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from ghn_init.graph.arch import NODE_TYPES, VIRTUAL_EDGE_CUTOFF

GNNKind = Literal["graphormer", "gatedgnn", "mlp"]
DecoderKind = Literal["conv", "mlp"]


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
        decoder: "conv" (GHN-2, GHN-3) or "mlp" (GHN-1).
        virtual_edges: whether nodes exchange messages along shortest paths too (Knyazev et al., 2021, eq. 4).
        layernorm: layer norm on the node states before decoding.
        weight_norm: fan-in normalisation of the predictions (Knyazev et al., 2021, section 4.2).
        centred_kernels: whether kernels smaller than the largest are cut from its centre (GHN-3) or corner (GHN-2).
        cutoff: longest shortest path that makes a virtual edge.
        node_types: the vocabulary, in the row order of the node embedding.
    """

    max_shape: tuple[int, int, int, int] = (64, 64, 11, 11)
    num_classes: int = 10
    hid: int = 64
    gnn: GNNKind = "graphormer"
    layers: int = 3
    heads: int = 8
    decoder: DecoderKind = "conv"
    virtual_edges: bool = True
    layernorm: bool = True
    weight_norm: bool = True
    centred_kernels: bool = True
    cutoff: int = VIRTUAL_EDGE_CUTOFF
    node_types: tuple[str, ...] = NODE_TYPES

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types; `from_dict` reads it back."""
        data = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GHNConfig:
        """Inverse of `to_dict`.

        Raises:
            ValueError: unknown keys, wrong types or impossible values, each named.
        """
        raise NotImplementedError
