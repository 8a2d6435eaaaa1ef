"""An architecture as an `nn.Module`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn_init.deepnets.layout import (
    STEM_DEEP,
    STEM_WIDE,
    CellLayout,
    head,
    layout,
    reads_deep_stem,
    stem,
)
from ghn_init.deepnets.skeleton import on_meta
from ghn_init.deepnets.spec import Architecture


class Cell(nn.Module):
    """The live part of one cell.

    Args:
        plan: what to build.
        meta: whether the current default device is the meta device.
    """

    def __init__(self, plan: CellLayout, meta: bool = False) -> None:
        super().__init__()
        self.plan = plan
        self.prepare = nn.ModuleDict({str(source): plan.preparation(source).build(meta) for source in plan.sources})
        self.ops = nn.ModuleDict({f"{s}_{at}": plan.operation(s, at).build(meta) for s, at in plan.live.operations})

    def forward(self, inputs: dict[int, Tensor]) -> Tensor:
        """The concatenated output states, given the inputs that are read."""
        states = {source: self.prepare[str(source)](inputs[source]) for source in self.plan.sources}
        steps = self.plan.genotype.steps
        for state, edges in self.plan.live.edges.items():
            results = [self.ops[f"{step}_{position}"](states[steps[step][position][1]]) for step, position in edges]
            states[state] = results[0] + results[1] if len(results) == 2 else results[0]
        output = [states[state] for state in self.plan.live.output]
        return torch.cat(output, dim=1) if len(output) > 1 else output[0]


class Network(nn.Module):
    """The network of an `Architecture`, without the parts that its output does not depend on.

    Batch norms use the statistics of the batch in evaluation as well. `torch.fx` traces it symbolically, and it can be
    built on the meta device.

    Args:
        architecture: what to build.
        num_classes: outputs of the classifier.
        image_size: side of the images; only networks with `fixed_resolution` depend on it.

    Raises:
        ValueError: 'none' operations cut the output off from the image.
    """

    def __init__(self, architecture: Architecture, num_classes: int = 10, image_size: int = 32) -> None:
        super().__init__()
        self.architecture = architecture
        cells, meta = layout(architecture), on_meta()
        self._sources = {index: cell.sources for index, cell in cells.items()}
        self._deep = reads_deep_stem(cells)
        wide, deep = stem(architecture, image_size)
        self.stem = nn.ModuleDict({"wide": wide.build(meta)})
        if self._deep and deep:
            self.stem["deep"] = deep.build(meta)
        self.cells = nn.ModuleDict({str(index): Cell(cell, meta) for index, cell in cells.items()})
        channels = cells[architecture.n_cells - 1].outputs
        self.classifier = head(architecture, channels, num_classes, image_size).build(meta)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, 3, height, width), float, to logits (batch, classes).

        Networks with attention or without global pooling take images of `image_size` only.
        """
        outputs = {STEM_WIDE: self.stem["wide"](images)}
        if self._deep:
            outputs[STEM_DEEP] = self.stem["deep"](outputs[STEM_WIDE]) if "deep" in self.stem else outputs[STEM_WIDE]
        for index, sources in self._sources.items():
            outputs[index] = self.cells[str(index)]({place: outputs[source] for place, source in sources.items()})
        return self.classifier(outputs[self.architecture.n_cells - 1])  # type: ignore[no-any-return]
