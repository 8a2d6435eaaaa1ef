"""Channels, strides and connections of an architecture's live cells: what building and counting have in common."""

from __future__ import annotations

import dataclasses

from ghn_init.deepnets.liveness import LiveCell, live_cells
from ghn_init.deepnets.ops import Shape
from ghn_init.deepnets.spec import Architecture, CellGenotype

#: The stem's outputs as cells before the first: what cell 0 reads as its input 0 and its input 1.
STEM_WIDE, STEM_DEEP = -2, -1


@dataclasses.dataclass(frozen=True)
class CellLayout:
    """How one live cell is built.

    Attributes:
        genotype: the whole cell.
        live: what of it is built.
        sources: for each input that is read, the cell (or stem) that it comes from.
        inputs: channels of the two inputs.
        width: channels of the inner states.
        stride: 2 for a reduction.
        catch_up: whether input 0 has twice the resolution of input 1.
        preprocess: whether 1x1 convolutions bring the inputs to `width`.
        batch_norm: whether convolutions are followed by batch norm.
    """

    genotype: CellGenotype
    live: LiveCell
    sources: dict[int, int]
    inputs: tuple[int, int]
    width: int
    stride: int
    catch_up: bool
    preprocess: bool
    batch_norm: bool

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.width * len(self.live.output)

    def input_shape(self, source: int) -> Shape:
        """What brings input `source` to the cell's width has this shape."""
        stride = 2 if self.catch_up and source == 0 else 1
        return Shape(
            self.inputs[source], self.width if self.preprocess else self.inputs[source], stride, self.batch_norm
        )

    def edges(self) -> list[tuple[int, int, str, Shape]]:
        """The live operations: (step, position, primitive, shape)."""
        found = []
        for step, position in sorted(edge for edges in self.live.edges.values() for edge in edges):
            primitive, source = self.genotype.steps[step][position]
            shape = Shape(self.width, self.width, self.stride if source < 2 else 1, self.batch_norm)
            found.append((step, position, primitive, shape))
        return found


def stem_channels(architecture: Architecture) -> int:
    """Channels of both of the stem's outputs."""
    simple = architecture.stem == "simple" and not architecture.attention
    return architecture.width * (3 if simple and architecture.preprocess else 1)


def layout(architecture: Architecture) -> dict[int, CellLayout]:
    """The live cells by index, in order; empty if the output does not depend on the image."""
    live = live_cells(architecture)
    channels = dict.fromkeys((STEM_WIDE, STEM_DEEP), stem_channels(architecture))
    width = architecture.width
    deep_stem = architecture.stem == "imagenet"
    cells = {}
    for index in range(architecture.n_cells):
        reduces = index in architecture.reductions
        width *= architecture.width_mult if reduces else 1
        if index not in live:
            channels[index] = width  # read by nobody
            continue
        catch_up = deep_stem if index == 0 else index - 1 in architecture.reductions
        cells[index] = CellLayout(
            genotype=architecture.cell(index),
            live=live[index],
            sources={source: index - 2 + source for source in sorted(live[index].inputs)},
            inputs=(channels[index - 2], channels[index - 1]),
            width=width,
            stride=2 if reduces and not architecture.attention else 1,
            catch_up=catch_up and not architecture.attention,
            preprocess=architecture.preprocess,
            batch_norm=architecture.batch_norm,
        )
        channels[index] = cells[index].outputs
    return cells


def reads_deep_stem(cells: dict[int, CellLayout]) -> bool:
    """Whether any cell reads the stem's second output."""
    return any(STEM_DEEP in cell.sources.values() for cell in cells.values())


def head_inputs(architecture: Architecture, channels: int, image_size: int) -> int:
    """Inputs of the classifier's first layer, for a last cell of `channels`."""
    if architecture.pool_head:
        return channels
    halvings = 2 + int(architecture.stem == "imagenet" or architecture.stem_pool)
    return int(channels * (image_size >> halvings) ** 2)
