"""An architecture as an `nn.Module`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn_init.deepnets.layout import (
    STEM_DEEP,
    STEM_WIDE,
    CellLayout,
    head_inputs,
    layout,
    reads_deep_stem,
    stem_channels,
)
from ghn_init.deepnets.ops import BUILDERS, FactorizedReduce, PositionTable, Subsample, norm, relu_conv
from ghn_init.deepnets.spec import Architecture

#: The patch embedding of networks with attention: 3x3, stride 3, padding 1; 11 patches a side of a 32x32 image.
PATCH = 3


class Cell(nn.Module):
    """The live part of one cell.

    Args:
        plan: what to build.
    """

    def __init__(self, plan: CellLayout) -> None:
        super().__init__()
        self.plan = plan
        self.prepare = nn.ModuleDict()
        for source in plan.sources:
            shape = plan.input_shape(source)
            if plan.preprocess:
                self.prepare[str(source)] = FactorizedReduce(shape) if shape.stride > 1 else relu_conv(shape, 1)
            else:
                self.prepare[str(source)] = Subsample(2) if shape.stride > 1 else nn.Identity()
        self.ops = nn.ModuleDict()
        for step, position, primitive, shape in plan.edges():
            self.ops[f"{step}_{position}"] = BUILDERS[primitive](shape)

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
        cells = layout(architecture)
        if not cells:
            raise ValueError("the architecture's output does not depend on its input: 'none' operations cut it off")
        self._sources = {index: cell.sources for index, cell in cells.items()}
        self._deep = reads_deep_stem(cells)
        self.stem = self._make_stem(architecture, image_size)
        self.cells = nn.ModuleDict({str(index): Cell(cell) for index, cell in cells.items()})
        inputs = head_inputs(architecture, cells[architecture.n_cells - 1].outputs, image_size)
        self.classifier = self._make_head(architecture, inputs, num_classes)

    def _make_stem(self, a: Architecture, image_size: int) -> nn.ModuleDict:
        width, kernel, padding = a.width, a.stem_kernel, a.stem_kernel // 2
        if a.attention:
            patches = nn.Conv2d(3, width, PATCH, PATCH, padding=1, bias=False)
            stem = nn.ModuleDict({"wide": nn.Sequential(patches, PositionTable(width, (image_size - 1) // PATCH + 1))})
            return stem
        if a.stem == "simple":
            wide = stem_channels(a)
            pool = [nn.MaxPool2d(3, 2, padding=1)] if a.stem_pool else []
            conv = nn.Conv2d(3, wide, kernel, padding=padding, bias=False)
            return nn.ModuleDict({"wide": nn.Sequential(conv, *norm(wide, a.batch_norm), *pool)})
        stem = nn.ModuleDict()
        stem["wide"] = nn.Sequential(
            nn.Conv2d(3, width // 2, kernel, padding=padding, bias=False),
            *norm(width // 2, a.batch_norm),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, padding=1, bias=False),
            *norm(width, a.batch_norm),
        )
        if self._deep:
            conv = nn.Conv2d(width, width, 3, 2, padding=1, bias=False)
            stem["deep"] = nn.Sequential(nn.ReLU(), conv, *norm(width, a.batch_norm))
        return stem

    @staticmethod
    def _make_head(a: Architecture, channels: int, num_classes: int) -> nn.Sequential:
        pool: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)] if a.pool_head else []
        layers: list[nn.Module] = []
        for _ in range(a.fc_layers - 1):
            layers += [nn.Linear(channels, a.fc_dim), nn.ReLU(), nn.Dropout(0.5)]
            channels = a.fc_dim
        return nn.Sequential(*pool, nn.Flatten(1), *layers, nn.Linear(channels, num_classes))

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
