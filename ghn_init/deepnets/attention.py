"""Self-attention on feature maps: as a module that `torch.fx` traces symbolically, and as a fragment of a graph."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ghn_init.deepnets.fragment import Draft, Extent, Part, below
from ghn_init.deepnets.layers import Layer, LayerNorm, Linear, Shape

HEADS = 8


def _split(x: Tensor) -> Tensor:
    """(batch, tokens, width) to (batch, heads, tokens, width / heads)."""
    return torch.unflatten(x, 2, (HEADS, -1)).transpose(1, 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Transformer:
    """`Attention` as data."""

    shape: Shape

    @property
    def layers(self) -> dict[str, Layer]:
        """Its layers by name, in the order in which they run."""
        width = self.shape.inputs
        return {
            "norm1": LayerNorm(width),
            "qkv": Linear(width, 3 * width, bias=False),
            "out": Linear(width, width),
            "norm2": LayerNorm(width),
            "hidden": Linear(width, width),
            "project": Linear(width, width),
        }

    def module(self) -> nn.Module:
        """The operation as a module."""
        return Attention(self.shape)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the operation's nodes: see `Layer.draw`."""
        layers = self.layers

        def run(names: tuple[str, ...], place: int) -> int:
            for name in names:
                place, _ = layers[name].draw(draft, below(path, name), place, extent)
            return place

        projected = run(("norm1", "qkv"), feed)
        work = 2 * self.shape.inputs
        attended = Part("msa", (projected,), op="scaled_dot_product_attention", extent=Extent.PAIRS, work=work)
        mixed = draft.add(Part("sum", (feed, run(("out",), draft.add(attended))), op="add"))
        expanded = run(("norm2", "hidden", "project"), mixed)
        return draft.add(Part("sum", (mixed, expanded), op="add")), extent


class Attention(nn.Module):
    """A transformer block on the pixels of a feature map (Dosovitskiy et al., 2021), 8 heads."""

    norm1: nn.Module
    qkv: nn.Module
    out: nn.Module
    norm2: nn.Module
    hidden: nn.Module
    project: nn.Module

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.inputs != shape.outputs:
            raise ValueError(f"self-attention keeps the width: {shape.inputs} in, {shape.outputs} out")
        for name, layer in Transformer(shape).layers.items():
            self.add_module(name, layer.module())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) to the same."""
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.qkv(self.norm1(tokens)).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(_split(query), _split(key), _split(value)).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(mixed)
        tokens = tokens + self.project(F.gelu(self.hidden(self.norm2(tokens))))
        result: Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return result


@dataclasses.dataclass(frozen=True, slots=True)
class Positions:
    """The sum with a learned table of (1, channels, side, side)."""

    channels: int
    side: int

    def module(self) -> nn.Module:
        """The layer as a module."""
        return PositionTable(self.channels, self.side)

    def draw(self, draft: Draft, path: str, feed: int, extent: Extent) -> tuple[int, Extent]:
        """Adds the layer's nodes: see `Layer.draw`."""
        shape = (1, self.channels, self.side, self.side)
        table = draft.add(Part("pos_enc", (), path, "weight", shape, op="add"))
        return draft.add(Part("sum", (feed, table), op="add", with_previous=True)), extent


class PositionTable(nn.Module):
    """Add a learned table of (1, channels, side, side)."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(1, channels, side, side))

    def forward(self, x: Tensor) -> Tensor:
        """Add the table to `x`, (batch, channels, side, side)."""
        return x + self.weight
