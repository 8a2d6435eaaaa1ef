"""Plain and residual networks of any width and depth: the classic families, beside the random cells."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from ghn_init.deepnets.ops import norm

Block = Literal["plain", "basic", "bottleneck"]
_RESIDUAL: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


@dataclasses.dataclass(frozen=True)
class Classic:
    """A network of stages; each halves the resolution and doubles the width.

    Attributes:
        block: "plain" (convolution, batch norm, ReLU; max pooling between stages; Simonyan & Zisserman, 2015), or a
            residual block, "basic" or "bottleneck" (He et al., 2016).
        depths: blocks of each stage.
        width: channels of the first stage (a bottleneck's output has four times as many).
    """

    block: Block
    depths: tuple[int, ...]
    width: int

    def __post_init__(self) -> None:
        if self.block != "plain" and self.block not in _RESIDUAL:
            raise ValueError(f"unknown block {self.block!r}; known are plain, {', '.join(_RESIDUAL)}")
        if not self.depths or min(self.depths) < 1 or self.width < 1:
            raise ValueError(f"depths={self.depths} and width={self.width} must be positive")

    @property
    def fixed_resolution(self) -> bool:
        """Whether the network takes images of one size only: never."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON types; `from_dict` reads it back."""
        return {"block": self.block, "depths": list(self.depths), "width": self.width}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Classic:
        """Inverse of `to_dict`."""
        return cls(block=data["block"], depths=tuple(data["depths"]), width=int(data["width"]))


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, track_running_stats=False)


class ClassicNetwork(nn.Module):
    """The network of a `Classic` for 32x32 images: a 3x3 stem without stride, stages, global pooling, one linear layer.

    Args:
        architecture: what to build.
        num_classes: outputs of the classifier.
    """

    def __init__(self, architecture: Classic, num_classes: int = 10) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.width
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn1 = nn.Sequential(*norm(channels, True))
        stages: list[nn.Module] = []
        for number, depth in enumerate(architecture.depths):
            blocks: list[nn.Module] = []
            for place in range(depth):
                halve = number > 0 and place == 0
                made, channels = self._block(architecture, channels, architecture.width << number, halve)
                blocks += made
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    @staticmethod
    def _block(architecture: Classic, inputs: int, width: int, halve: bool) -> tuple[list[nn.Module], int]:
        """One block, and its output's channels."""
        if architecture.block == "plain":
            conv = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            pool: list[nn.Module] = [nn.MaxPool2d(2)] if halve else []
            return [*pool, conv, _batch_norm(width), nn.ReLU()], width
        kind = _RESIDUAL[architecture.block]
        outputs, stride = width * kind.expansion, 2 if halve else 1
        shortcut = None
        if halve or inputs != outputs:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _batch_norm(outputs))
        return [kind(inputs, width, stride, shortcut, norm_layer=_batch_norm)], outputs

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.stages(F.relu(self.bn1(self.conv1(images))))
        return self.fc(self.pool(x).flatten(1))  # type: ignore[no-any-return]
