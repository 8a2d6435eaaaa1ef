"""Which weights of a network have a scale that changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ghn_init.graph.arch import ArchGraph

#: What takes away the scale of each channel, and what it takes away no less for lying in between.
_NORM, _BETWEEN = "bn", "bias"


def scale_free(graph: ArchGraph) -> frozenset[str]:
    """The parameters of two dimensions or more that batch norm alone reads, all over the network.

    With the statistics of batches the network computes the same whatever their scale. Activations are no nodes of a
    graph: one before the norm that does not keep proportions (as GELU) gets to see the scale.
    """
    readers = defaultdict(list)
    for source, target in graph.edges:
        readers[source].append(target)
    free: dict[str, bool] = {}
    by_source: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        if node.param is not None and len(node.shape or ()) > 1:
            name = by_source[node.source] = node.param
        elif node.param is None and node.source in by_source:  # a module's further calls are nodes without parameters
            name = by_source[node.source]
        else:
            continue
        free[name] = free.get(name, True) and _normed(graph, readers, index)
    return frozenset(name for name, yes in free.items() if yes)


def _normed(graph: ArchGraph, readers: Mapping[int, Sequence[int]], index: int) -> bool:
    """Whether only batch norm reads what a node makes, biases in between or not."""
    found = readers.get(index, ())
    return bool(found) and all(
        graph.nodes[reader].type == _NORM or (graph.nodes[reader].type == _BETWEEN and _normed(graph, readers, reader))
        for reader in found
    )


def lowered(weight: Tensor, largest: float) -> None:
    """Scales a tensor down, in place, to a root mean square of at most `largest`."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    size = torch.linalg.vector_norm(weight, dtype=dtype) / weight.numel() ** 0.5
    weight.mul_((largest / size).clamp(max=1.0))
