"""Architectures in words: what they are called, how large they are, how to get them again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ghn_init.graph import ArchGraph
from ghn_init.properties import graph_of

if TYPE_CHECKING:
    from ghn_init.deepnets import AnyArchitecture
    from ghn_init.properties import Network
    from ghn_init.training.architectures import Drawn

#: An architecture as it was drawn for training, an architecture as data, or whatever `ghn_init.embed` takes.
Familiar: TypeAlias = "Drawn | AnyArchitecture | Network"

#: How to rebuild what `ghn_init.training` draws, by the first part of its name.
_SOURCES: dict[str, Callable[[str, Any], str]] = {
    "deepnets": lambda index, made: f'ghn_init.deepnets.sample("train", {index}).with_width({made.width})',
    "classic": lambda _, made: f"ghn_init.deepnets.{made!r}",
    # not by its number: with further families the sampler draws others
    "timm": lambda _, made: f"ghn_init.deepnets.{made!r}",
}


def graph_and_words(given: Familiar, number: int, classes: int) -> tuple[ArchGraph, str, str, int | None]:
    """The graph of an architecture, its name, how to rebuild it (empty if that is not known), and its cells.

    Args:
        given: the architecture.
        number: its place among others, for a name.
        classes: of its classifier, where it is data.
    """
    architecture: Any = getattr(given, "architecture", given)
    name = str(getattr(given, "name", "") or (given if isinstance(given, str) else ""))
    size = {"image_size": side} if (side := getattr(given, "image_size", None)) else {}
    graph = (
        architecture.graph(classes, **size)
        if callable(getattr(architecture, "graph", None))
        else graph_of(architecture, num_classes=classes)
    )
    kind, _, rest = name.partition("/")
    made = _SOURCES[kind](rest, architecture) if architecture is not given and kind in _SOURCES else ""
    split = getattr(given, "split", None)
    if split is not None:
        made = f'ghn_init.deepnets.sample("{split}", {getattr(given, "index", 0)})'
    cells = getattr(architecture, "n_cells", None)
    return graph, name or f"{type(architecture).__name__} {number}", made, cells


def parameters_in(graph: ArchGraph) -> int:
    """Elements of all parameters that the graph has a node for."""
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        if node.param is not None:
            sizes[node.param] = math.prod(node.param_shape or node.shape or ())
        if node.rider is not None:
            sizes[node.rider] = math.prod(node.rider_shape or node.param_shape or node.shape or ())
    return sum(sizes.values())
