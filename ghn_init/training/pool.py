"""The architectures that a GHN is trained on, with their graphs and skeletons."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ghn_init.atomic import write_atomically
from ghn_init.deepnets import Architecture, Classic, ClassicNetwork, Network, sample, stream
from ghn_init.graph import trace
from ghn_init.graph.arch import ArchGraph

logger = logging.getLogger(__name__)

AnyArchitecture = Architecture | Classic


@dataclasses.dataclass(frozen=True)
class Entry:
    """One architecture with all that a training step needs of it.

    Attributes:
        architecture: what it is.
        image_size: side of the images that the skeleton takes.
        graph: the graph that the GHN reads.
        skeleton: the module on the meta device, for `torch.func.functional_call`.
    """

    architecture: AnyArchitecture
    image_size: int
    graph: ArchGraph
    skeleton: nn.Module

    @functools.cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.skeleton.parameters())


def build(architecture: AnyArchitecture, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """The network of `architecture`, in evaluation mode: no dropout, batch statistics in batch norm."""
    if isinstance(architecture, Classic):
        return ClassicNetwork(architecture, num_classes).eval()
    return Network(architecture, num_classes, image_size).eval()


def make_entry(
    architecture: AnyArchitecture, image_size: int = 32, *, graph: ArchGraph | None = None, num_classes: int = 10
) -> Entry:
    """Build the skeleton of `architecture`, and trace it unless its graph is given.

    Raises:
        ValueError: the graph lacks a parameter of the network.
    """
    with torch.device("meta"):
        skeleton = build(architecture, num_classes, image_size)
    graph = trace(skeleton) if graph is None else graph
    covered = {node.param for node in graph.nodes} | {node.rider for node in graph.nodes}
    missing = [name for name, _ in skeleton.named_parameters() if name not in covered]
    if missing:
        raise ValueError(f"the graph of {architecture} covers not all parameters: {', '.join(missing)} are missing")
    return Entry(architecture, image_size, graph, skeleton)


def training_architectures(
    count: int, widths: Sequence[int], *, max_cells: int = 18, classics: float = 0.15, seed: int = 0
) -> list[AnyArchitecture]:
    """`count` architectures: the train split's first, and a share `classics` of classic networks.

    Args:
        count: how many.
        widths: widths to draw from, in place of the split's own.
        max_cells: leave out what has more cells.
        classics: share of plain and residual networks.
        seed: of the choices; the split's own seed stays 0.
    """
    rng = stream("pool", seed)
    made: list[AnyArchitecture] = []
    index = 0
    while len(made) < count:
        width = int(rng.choice(list(widths)))
        if rng.random() < classics:
            block = str(rng.choice(["plain", "basic", "bottleneck"]))
            depths = tuple(int(depth) for depth in rng.integers(1, 4 if block == "plain" else 3, rng.integers(3, 5)))
            made.append(Classic(block, depths, width))  # type: ignore[arg-type]
            continue
        while (architecture := sample("train", index)).n_cells > max_cells:
            index += 1
        index += 1
        made.append(dataclasses.replace(architecture, width=width))
    return made


def save_pool(entries: Iterable[Entry], path: str | Path) -> None:
    """Write architectures and graphs to a JSON-lines file, all or nothing."""
    lines = [json.dumps(_to_dict(entry)) + "\n" for entry in entries]
    write_atomically(Path(path), lambda temporary: temporary.write_text("".join(lines), encoding="utf-8"))


def load_pool(path: str | Path, num_classes: int = 10) -> list[Entry]:
    """Inverse of `save_pool`; builds the skeletons."""
    with Path(path).open() as file:
        rows = [json.loads(line) for line in file]
    return [
        make_entry(
            _architecture(row["kind"], row["architecture"]),
            row["image_size"],
            graph=ArchGraph.from_dict(row["graph"]),
            num_classes=num_classes,
        )
        for row in rows
    ]


def _to_dict(entry: Entry) -> dict[str, Any]:
    return {
        "kind": "classic" if isinstance(entry.architecture, Classic) else "cells",
        "architecture": entry.architecture.to_dict(),
        "image_size": entry.image_size,
        "graph": entry.graph.to_dict(),
    }


def _architecture(kind: str, data: dict[str, Any]) -> AnyArchitecture:
    return Classic.from_dict(data) if kind == "classic" else Architecture.from_dict(data)
