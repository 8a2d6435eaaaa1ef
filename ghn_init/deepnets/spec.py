"""Architectures of cells as data: everything that is needed to build a network, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any, ClassVar, Literal

from torch import nn

from ghn_init.graph.arch import ArchGraph

#: The operations on the edges of a cell, as DeepNets-1M has them (Knyazev et al., 2021, section 3.1).
PRIMITIVES: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "conv_1x1",
    "conv_7x1_1x7",
    "conv_3x3",
    "conv_5x5",
    "conv_7x7",
    "msa",
    "cse",
)

#: Primitives without weights at stride 1: all that a reduction cell of the "pooling only" kind holds.
WEIGHTLESS: frozenset[str] = frozenset({"none", "max_pool_3x3", "avg_pool_3x3", "skip"})

Stem = Literal["simple", "imagenet"]


@dataclasses.dataclass(frozen=True)
class CellGenotype:
    """One cell: a small graph whose states 0 and 1 are the outputs of the two cells before it.

    Attributes:
        steps: for each further state, the two (primitive, source state) pairs whose results are summed.
        output: the states that are concatenated to form the cell's output.
    """

    steps: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    output: tuple[int, ...]

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps):
            if len(step) != 2:
                raise ValueError(f"step {number} of the cell has {len(step)} operations; every step sums two")
            for primitive, source in step:
                if primitive not in PRIMITIVES:
                    raise ValueError(f"step {number} of the cell has {primitive!r}; known are {', '.join(PRIMITIVES)}")
                if not 0 <= source < number + 2:
                    raise ValueError(f"step {number} of the cell reads state {source}, which does not exist yet")
        if not self.output or not all(2 <= state < len(self.steps) + 2 for state in self.output):
            raise ValueError(f"the cell's output {self.output} must name some of its states 2..{len(self.steps) + 1}")

    @property
    def primitives(self) -> tuple[str, ...]:
        """The primitives of all steps, in order, with repetitions."""
        return tuple(primitive for step in self.steps for primitive, _ in step)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of cells; `ghn_init.deepnets.Network` builds it.

    Attributes:
        normal: the cell that keeps the resolution.
        reduction: the cell at one and two thirds of the depth; it halves the resolution and multiplies the width.
        n_cells: cells in total.
        width: channels of the first cells.
        width_mult: by how much a reduction multiplies the width.
        stem: one convolution ("simple"), or three with strides as for ImageNet ("imagenet"). Networks with
            self-attention have a patch embedding and a position table instead.
        stem_kernel: kernel size of the first convolution.
        stem_pool: whether a simple stem ends with a 3x3 max pooling of stride 2.
        batch_norm: whether convolutions are followed by batch norm.
        preprocess: whether 1x1 convolutions bring a cell's inputs to the cell's width.
        pool_head: global average pooling before the classifier; otherwise the feature map is flattened.
        fc_layers: fully connected layers of the classifier.
        fc_dim: width of the hidden ones.
    """

    kind: ClassVar[str] = "cells"

    normal: CellGenotype
    reduction: CellGenotype
    n_cells: int
    width: int
    width_mult: int = 2
    stem: Stem = "simple"
    stem_kernel: int = 3
    stem_pool: bool = False
    batch_norm: bool = True
    preprocess: bool = True
    pool_head: bool = True
    fc_layers: int = 1
    fc_dim: int = 256

    def __post_init__(self) -> None:
        if self.n_cells < 1 or self.fc_layers < 1:
            raise ValueError(f"n_cells={self.n_cells} and fc_layers={self.fc_layers} must be at least 1")
        if self.width < 8 or self.width % 8:
            raise ValueError(f"width={self.width} must be a positive multiple of 8 (attention has 8 heads)")
        if not self.preprocess and (self.width_mult > 1 or len(self.normal.steps) > 1):
            raise ValueError("cells of several steps or a growing width need preprocess=True")
        if self.attention and not self.pool_head:
            raise ValueError("a network with self-attention needs pool_head=True")

    @functools.cached_property
    def primitives(self) -> tuple[str, ...]:
        """The primitives of both cells."""
        return self.normal.primitives + self.reduction.primitives

    @functools.cached_property
    def attention(self) -> bool:
        """Whether a cell has self-attention; such a network works on patches and keeps their number."""
        return "msa" in self.primitives

    @functools.cached_property
    def reductions(self) -> frozenset[int]:
        """Indices of the cells that reduce."""
        return frozenset({self.n_cells // 3, 2 * self.n_cells // 3} - {0})

    @property
    def fixed_resolution(self) -> bool:
        """Whether the network takes images of one size only (a position table or a flattened feature map)."""
        return self.attention or not self.pool_head

    def cell(self, index: int) -> CellGenotype:
        """The genotype of cell `index`."""
        return self.reduction if index in self.reductions else self.normal

    def with_width(self, width: int) -> Architecture:
        """The same network with other channels of the first cells."""
        return dataclasses.replace(self, width=width)

    def build(self, num_classes: int = 10, image_size: int = 32) -> nn.Module:
        """The network in evaluation mode, on the current default device.

        Args:
            num_classes: outputs of the classifier.
            image_size: side of the images; only networks with `fixed_resolution` depend on it.

        Raises:
            ValueError: 'none' operations cut the output off from the image.
        """
        from ghn_init.deepnets.network import Network

        return Network(self, num_classes, image_size).eval()

    def graph(self, num_classes: int = 10, image_size: int = 32) -> ArchGraph:
        """The graph of what `build` returns, without building or tracing it."""
        from ghn_init.deepnets.cells import plan

        return plan(self, num_classes, image_size).graph()

    def cost(self, image_size: int = 32) -> float:
        """Approximate multiply-adds of a forward pass of one image."""
        from ghn_init.deepnets.cells import plan

        return plan(self, image_size=image_size).cost

    def load(self, image_size: int = 32) -> float:
        """Approximate time of a training step on CPU for one image of a batch of 32, in plain multiply-adds."""
        from ghn_init.deepnets.cells import plan

        return plan(self, image_size=image_size).load

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON types; `ghn_init.deepnets.from_dict` reads it back."""
        return {"kind": self.kind, **json.loads(json.dumps(dataclasses.asdict(self)))}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Architecture:
        """Inverse of `to_dict`.

        Raises:
            ValueError: another kind, unknown or missing keys, or an impossible architecture.
        """
        data = checked(data, cls)
        cells = {name: _cell_from_dict(data[name]) for name in ("normal", "reduction")}
        return cls(**{**data, **cells})


def checked(data: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """The fields of an architecture of class `cls` in its `to_dict`.

    Raises:
        ValueError: another kind, or unknown or missing keys.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if (kind := data.get("kind", cls.kind)) != cls.kind:
        raise ValueError(f"an architecture of kind {kind!r}; {cls.__name__} reads {cls.kind!r}")
    if unknown := set(data) - set(fields) - {"kind"}:
        raise ValueError(f"unknown keys of an architecture: {', '.join(sorted(unknown))}")
    required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if missing := required - set(data):
        raise ValueError(f"missing keys of an architecture: {', '.join(sorted(missing))}")
    return {name: value for name, value in data.items() if name != "kind"}


def _cell_from_dict(data: dict[str, Any]) -> CellGenotype:
    steps = tuple(tuple((str(primitive), int(source)) for primitive, source in step) for step in data["steps"])
    return CellGenotype(steps=steps, output=tuple(data["output"]))  # type: ignore[arg-type]
