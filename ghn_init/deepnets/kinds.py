"""What all architectures have in common, and how each is read back from JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn

from ghn_init.deepnets.classic import Classic
from ghn_init.deepnets.spec import Architecture
from ghn_init.deepnets.timm_models import TimmArchitecture
from ghn_init.graph.arch import ArchGraph


class AnyArchitecture(Protocol):
    """An architecture as data: `Architecture`, `Classic`, `TimmArchitecture`, or a frozen dataclass of yours."""

    @property
    def fixed_resolution(self) -> bool:
        """Whether its network takes images of one size only."""
        ...

    def with_width(self, width: int) -> AnyArchitecture:
        """The same network with other channels."""
        ...

    def build(self, num_classes: int = 10, image_size: int = 32) -> nn.Module:
        """The network in evaluation mode, on the current default device; batch norms use the batch's statistics."""
        ...

    def graph(self, num_classes: int = 10, image_size: int = 32) -> ArchGraph:
        """The graph of what `build` returns."""
        ...

    def cost(self, image_size: int = 32) -> float:
        """Approximate multiply-adds of a forward pass of one image."""
        ...

    def load(self, image_size: int = 32) -> float:
        """Approximate time of a training step on CPU for one image of a batch of 32, in plain multiply-adds."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON types, with its "kind"; `from_dict` reads it back."""
        ...


_READERS: dict[str, Callable[[dict[str, Any]], AnyArchitecture]] = {
    cls.kind: cls.from_dict for cls in (Architecture, Classic, TimmArchitecture)
}


def from_dict(data: dict[str, Any]) -> AnyArchitecture:
    """Inverse of the `to_dict` of any architecture.

    Raises:
        ValueError: an unknown kind or keys, missing keys, or an impossible architecture.
    """
    kind = data.get("kind")
    if kind not in _READERS:
        raise ValueError(f"unknown kind of architecture {kind!r}; known are {', '.join(_READERS)}")
    return _READERS[kind](data)
