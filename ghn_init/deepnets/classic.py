"""Plain and residual networks of any width and depth: the classic families, beside the random cells."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ghn_init.deepnets.block import Block
from ghn_init.deepnets.layers import RELU, BatchNorm, GlobalPool, Layer, Linear, Pool, square
from ghn_init.deepnets.plan import IMAGE, Plan
from ghn_init.deepnets.residual import RESIDUAL, Residual, Stack
from ghn_init.deepnets.spec import checked
from ghn_init.graph.arch import ArchGraph


@dataclasses.dataclass(frozen=True)
class Classic:
    """A network of stages; each halves the resolution and doubles the width.

    Attributes:
        block: "plain" (convolution, batch norm, ReLU; max pooling between stages; Simonyan & Zisserman, 2015), or a
            residual block, "basic" or "bottleneck" (He et al., 2016).
        depths: blocks of each stage.
        width: channels of the first stage (a bottleneck's output has four times as many).
    """

    kind: ClassVar[str] = "classic"

    block: Stack
    depths: tuple[int, ...]
    width: int

    def __post_init__(self) -> None:
        if self.block != "plain" and self.block not in RESIDUAL:
            raise ValueError(f"unknown block {self.block!r}; known are plain, {', '.join(RESIDUAL)}")
        if not self.depths or min(self.depths) < 1 or self.width < 1:
            raise ValueError(f"depths={self.depths} and width={self.width} must be positive")

    @property
    def fixed_resolution(self) -> bool:
        """Whether the network takes images of one size only: never."""
        return False

    def with_width(self, width: int) -> Classic:
        """The same network with other channels of the first stage."""
        return dataclasses.replace(self, width=width)

    def build(self, num_classes: int = 10, image_size: int = 32) -> nn.Module:
        """The network in evaluation mode, on the current default device; it takes images of any size."""
        return ClassicNetwork(self, num_classes).eval()

    def graph(self, num_classes: int = 10, image_size: int = 32) -> ArchGraph:
        """The graph of what `build` returns, without building or tracing it."""
        return plan(self, num_classes, image_size).graph()

    def cost(self, image_size: int = 32) -> float:
        """Approximate multiply-adds of a forward pass of one image."""
        return plan(self, image_size=image_size).cost

    def load(self, image_size: int = 32) -> float:
        """Approximate time of a training step on CPU for one image of a batch of 32, in plain multiply-adds."""
        return plan(self, image_size=image_size).load

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON types; `ghn_init.deepnets.from_dict` reads it back."""
        return {"kind": self.kind, "block": self.block, "depths": list(self.depths), "width": self.width}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Classic:
        """Inverse of `to_dict`.

        Raises:
            ValueError: another kind, unknown or missing keys, or an impossible architecture.
        """
        data = checked(data, cls)
        return cls(block=data["block"], depths=tuple(data["depths"]), width=int(data["width"]))


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """One layer or residual block of a stage.

    Attributes:
        block: what is built.
        stride: by how much it divides the resolution.
        channels: of its output.
    """

    block: Block
    stride: int
    channels: int


def _stages(architecture: Classic) -> list[list[Placed]]:
    channels = architecture.width
    stages = []
    for number, depth in enumerate(architecture.depths):
        stage: list[Placed] = []
        for place in range(depth):
            stride = 2 if number > 0 and place == 0 else 1
            stage += _stack(architecture.block, channels, architecture.width << number, stride)
            channels = stage[-1].channels
        stages.append(stage)
    return stages


def _stack(block: Stack, inputs: int, width: int, stride: int) -> list[Placed]:
    if block != "plain":
        residual = Residual(block, inputs, width, stride)
        return [Placed(Block.of(residual), stride, residual.outputs)]
    layers: list[Layer] = [square(inputs, width, 3), BatchNorm(width), RELU]
    pool = [Placed(Block.of(Pool("max_pool", inputs, stride, stride, 0)), stride, inputs)] if stride > 1 else []
    return pool + [Placed(Block.of(layer), 1, width) for layer in layers]


def plan(architecture: Classic, num_classes: int = 10, image_size: int = 32) -> Plan:
    """What the architecture's `ClassicNetwork` does."""
    steps = Plan(image_size)
    width, side = architecture.width, image_size
    step = steps.run(Block.of(square(3, width, 3)), "conv1", IMAGE)
    step = steps.run(Block.of((BatchNorm(width),)), "bn1", step)
    channels = width
    for number, stage in enumerate(_stages(architecture)):
        for place, placed in enumerate(stage):
            step = steps.run(placed.block, f"stages.{number}.{place}", step, placed.stride)
            side, channels = (side - 1) // placed.stride + 1, placed.channels
    step = steps.run(Block.of(GlobalPool()), "pool", step, side)
    steps.run(Block.of(Linear(channels, num_classes)), "fc", step)
    return steps


class ClassicNetwork(nn.Module):
    """The network of a `Classic` for 32x32 images: a 3x3 stem without stride, stages, global pooling, one linear layer.

    Args:
        architecture: what to build.
        num_classes: outputs of the classifier.
    """

    def __init__(self, architecture: Classic, num_classes: int = 10) -> None:
        super().__init__()
        self.architecture = architecture
        width = architecture.width
        self.conv1 = Block.of(square(3, width, 3)).build()
        self.bn1 = Block.of((BatchNorm(width),)).build()
        stages = _stages(architecture)
        self.stages = nn.Sequential(*(nn.Sequential(*(placed.block.build() for placed in stage)) for stage in stages))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = Block.of(Linear(stages[-1][-1].channels, num_classes)).build()

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.stages(F.relu(self.bn1(self.conv1(images))))
        return self.fc(self.pool(x).flatten(1))  # type: ignore[no-any-return]
