"""An architecture as an `nn.Module`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn_init.deepnets.liveness import LiveCell, live_cells
from ghn_init.deepnets.ops import BUILDERS, FactorizedReduce, PositionTable, Shape, Subsample, norm, relu_conv
from ghn_init.deepnets.spec import Architecture, CellGenotype

#: The patch embedding of networks with attention: 3x3, stride 3, padding 1; 11 patches a side of a 32x32 image.
PATCH = 3

STEM_WIDE, STEM_DEEP = -2, -1


class Cell(nn.Module):
    """The live part of one cell.

    Args:
        genotype: the whole cell.
        live: what of it is built.
        inputs: channels of the two inputs.
        width: channels of the inner states.
        stride: 2 for a reduction.
        catch_up: whether input 0 has twice the resolution of input 1.
        preprocess: whether 1x1 convolutions bring the inputs to `width`.
        batch_norm: whether convolutions are followed by batch norm.
    """

    def __init__(
        self,
        genotype: CellGenotype,
        live: LiveCell,
        *,
        inputs: tuple[int, int],
        width: int,
        stride: int,
        catch_up: bool,
        preprocess: bool,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        self.live = live
        self.genotype = genotype
        self.prepare = nn.ModuleDict()
        for source in sorted(live.inputs):
            halve = catch_up and source == 0
            if preprocess:
                shape = Shape(inputs[source], width, batch_norm=batch_norm)
                self.prepare[str(source)] = FactorizedReduce(shape) if halve else relu_conv(shape, 1)
            else:
                self.prepare[str(source)] = Subsample(2) if halve else nn.Identity()
        self.ops = nn.ModuleDict()
        for step, position in sorted(edge for edges in live.edges.values() for edge in edges):
            primitive, source = genotype.steps[step][position]
            shape = Shape(width, width, stride if source < 2 else 1, batch_norm)
            self.ops[f"{step}_{position}"] = BUILDERS[primitive](shape)

    def forward(self, inputs: dict[int, Tensor]) -> Tensor:
        """The concatenated output states, given the inputs that are read."""
        states = {source: self.prepare[str(source)](inputs[source]) for source in sorted(self.live.inputs)}
        for state, edges in self.live.edges.items():
            results = [
                self.ops[f"{step}_{position}"](states[self.genotype.steps[step][position][1]])
                for step, position in edges
            ]
            states[state] = results[0] + results[1] if len(results) == 2 else results[0]
        output = [states[state] for state in self.live.output]
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
        self.image_size = image_size
        cells = live_cells(architecture)
        if not cells:
            raise ValueError("the architecture's output does not depend on its input: 'none' operations cut it off")
        self._sources = {index: {s: index - 2 + s for s in sorted(cell.inputs)} for index, cell in cells.items()}
        self._deep = any(STEM_DEEP in sources.values() for sources in self._sources.values())
        self.stem, channels = self._make_stem(architecture)
        self.cells = nn.ModuleDict()
        width = architecture.width
        imagenet = architecture.stem == "imagenet" and not architecture.attention
        for index in range(architecture.n_cells):
            reduces = index in architecture.reductions
            width *= architecture.width_mult if reduces else 1
            # a dead cell's channels matter to nobody
            channels[index] = width * len(cells[index].output) if index in cells else width
            if index in cells:
                catch_up = imagenet if index == 0 else index - 1 in architecture.reductions
                self.cells[str(index)] = Cell(
                    architecture.cell(index),
                    cells[index],
                    inputs=(channels[index - 2], channels[index - 1]),
                    width=width,
                    stride=2 if reduces and not architecture.attention else 1,
                    catch_up=catch_up and not architecture.attention,
                    preprocess=architecture.preprocess,
                    batch_norm=architecture.batch_norm,
                )
        self.classifier = self._make_head(architecture, channels[architecture.n_cells - 1], num_classes)

    def _make_stem(self, a: Architecture) -> tuple[nn.ModuleDict, dict[int, int]]:
        """The stem's modules, and the channels of its two outputs."""
        width, kernel, padding = a.width, a.stem_kernel, a.stem_kernel // 2
        if a.attention:
            patches = nn.Conv2d(3, width, PATCH, PATCH, padding=1, bias=False)
            stem = nn.ModuleDict(
                {"wide": nn.Sequential(patches, PositionTable(width, (self.image_size - 1) // PATCH + 1))}
            )
            return stem, {STEM_WIDE: width, STEM_DEEP: width}
        if a.stem == "simple":
            wide = 3 * width if a.preprocess else width
            pool = [nn.MaxPool2d(3, 2, padding=1)] if a.stem_pool else []
            conv = nn.Conv2d(3, wide, kernel, padding=padding, bias=False)
            stem = nn.ModuleDict({"wide": nn.Sequential(conv, *norm(wide, a.batch_norm), *pool)})
            return stem, {STEM_WIDE: wide, STEM_DEEP: wide}
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
        return stem, {STEM_WIDE: width, STEM_DEEP: width}

    def _make_head(self, a: Architecture, channels: int, num_classes: int) -> nn.Sequential:
        pool: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)] if a.pool_head else []
        if not a.pool_head:
            halvings = 2 + int(a.stem == "imagenet" or a.stem_pool)
            channels *= (self.image_size >> halvings) ** 2
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
