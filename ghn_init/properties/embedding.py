"""Embeddings of architectures: what a GHN knows of a network before it decodes its weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, overload

import torch
from torch import Tensor, nn

from ghn_init.graph import ArchGraph, restricted, trace
from ghn_init.hypernet import GHN
from ghn_init.hypernet.batches import by_size
from ghn_init.sources import Source, find_ghn

if TYPE_CHECKING:
    from ghn_init.evaluation import Subject

#: Graphs that are in memory together: each keeps the lengths of all its paths.
_TOGETHER = 256

#: A module, its graph, a name that `ghn_init.zoo.find_model` knows, or a `ghn_init.evaluation.Subject`.
Network: TypeAlias = "nn.Module | ArchGraph | str | Subject"


class NodeEmbeddings(NamedTuple):
    """The nodes of a network as a GHN sees them.

    Attributes:
        graph: the graph as the GHN reads it: further node types that it does not know are replaced or gone, see
            `ghn_init.graph.restricted`.
        states: float32, (nodes, hid), a row a node of `graph`, on the GHN's device.
    """

    graph: ArchGraph
    states: Tensor


def embed(
    module: Network | Iterable[Network],
    ghn: Source = None,
    *,
    example_inputs: Any = None,
    image_size: int = 32,
) -> Tensor:
    """The embedding of an architecture: the mean over its nodes of the states from which the GHN decodes weights.

    GHN-2's authors predict properties of networks from it (Knyazev et al., 2021, section 5.2: the states after the
    last round of message passing and the layer norm, averaged over all nodes, those without parameters too). Only the
    architecture counts: networks of one graph have one embedding, whatever their weights.

    Args:
        module: a module, which may be on the meta device; an `ArchGraph`; the name of a network as in
            `ghn_init.zoo.find_model`, with its own number of classes; a `Subject` of `ghn_init.evaluation`, with the
            GHN's number of classes; or several of them, which are read in one pass.
        ghn: whose embedding, as for `ghn_init.apply`.
        example_inputs: see `ghn_init.trace`; the same for all modules.
        image_size: side in pixels of the images of a `Subject`.

    Returns:
        float32, (hid,), or (n, hid) for n networks; on the GHN's device, detached. A network alone and among others has
        the same embedding to rounding.

    Raises:
        TraceError: a module cannot be traced.
        ModelNotFoundError: no network of that name.
        CheckpointError: the checkpoint cannot be had.
        PredictionError: a node type that the GHN does not know.
        TypeError: something that is no network.
    """
    _, network = find_ghn(ghn, torch.device("cpu"))
    rows = [states.mean(dim=0) for _, states in _read(_listed(module), network, example_inputs, image_size)]
    if is_one(module):
        return rows[0]
    return torch.stack(rows) if rows else torch.empty(0, network.config.hid)


@overload
def node_embeddings(  # type: ignore[overload-overlap]  # a str is an iterable, too
    module: Network, ghn: Source = None, *, example_inputs: Any = None, image_size: int = 32
) -> NodeEmbeddings: ...
@overload
def node_embeddings(
    module: Iterable[Network], ghn: Source = None, *, example_inputs: Any = None, image_size: int = 32
) -> list[NodeEmbeddings]: ...
def node_embeddings(
    module: Network | Iterable[Network],
    ghn: Source = None,
    *,
    example_inputs: Any = None,
    image_size: int = 32,
) -> NodeEmbeddings | list[NodeEmbeddings]:
    """The states of each node of an architecture, whose mean is `embed`, and the graph that they belong to.

    Arguments and errors as for `embed`; a list of networks gives a list.
    """
    _, network = find_ghn(ghn, torch.device("cpu"))
    found = list(_read(_listed(module), network, example_inputs, image_size))
    return found[0] if is_one(module) else found


def graph_of(network: Network, *, example_inputs: Any = None, num_classes: int = 10, image_size: int = 32) -> ArchGraph:
    """The graph of anything that `embed` takes; `num_classes` and `image_size` are for a `Subject`.

    Raises:
        GHNInitError: as for `embed`.
        TypeError: it is no network.
    """
    if isinstance(network, ArchGraph):
        return network
    if isinstance(network, nn.Module):
        return trace(network, example_inputs=example_inputs)
    if isinstance(network, str):
        from ghn_init.zoo import find_model  # timm and torchvision take long to import

        return trace(find_model(network).skeleton(), example_inputs=example_inputs)
    if callable(skeleton := getattr(network, "skeleton", None)):
        graph: ArchGraph = skeleton(num_classes, image_size).graph
        return graph
    raise TypeError(f"no module, graph, name of a network or Subject: {type(network).__name__}")


def is_one(module: Any) -> bool:
    """Whether this is one network, rather than several."""
    # nn.Sequential is iterable, and a network nevertheless
    return isinstance(module, (nn.Module, ArchGraph, str)) or not isinstance(module, Iterable)


def _listed(module: Any) -> Iterable[Network]:
    return [module] if is_one(module) else module


@torch.no_grad()
def _read(networks: Iterable[Network], ghn: GHN, example_inputs: Any, image_size: int) -> Iterator[NodeEmbeddings]:
    remaining = iter(networks)
    while chunk := list(itertools.islice(remaining, _TOGETHER)):
        classes = ghn.config.num_classes
        graphs = [
            graph_of(network, example_inputs=example_inputs, num_classes=classes, image_size=image_size)
            for network in chunk
        ]
        yield from _states([restricted(graph, ghn.config.node_types) for graph in graphs], ghn)


def _states(graphs: list[ArchGraph], ghn: GHN) -> list[NodeEmbeddings]:
    found: dict[int, NodeEmbeddings] = {}
    with torch.autocast(ghn.encoder.types.weight.device.type, enabled=False):
        for batch in by_size([len(graph) for graph in graphs]):
            states = ghn.embed([graphs[index] for index in batch])
            found |= {index: NodeEmbeddings(graphs[index], own) for index, own in zip(batch, states, strict=True)}
    return [found[index] for index in range(len(graphs))]
