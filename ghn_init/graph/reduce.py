"""From raw typed nodes to the graph: what is redundant goes, what remains keeps its connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from ghn_init.graph.arch import Node
from ghn_init.graph.builder import RawNode
from ghn_init.graph.contract import INPUT, contract
from ghn_init.graph.views import seen_shape

_HEAD_TYPES = frozenset({"conv"})


def reduce(
    raw: list[RawNode], outputs: Sequence[frozenset[int]], parameters: Mapping[str, nn.Parameter]
) -> tuple[tuple[Node, ...], tuple[tuple[int, int], ...]]:
    """Nodes and edges of the graph, in topological order, the input first.

    Nodes that are part of another (the pooling inside squeeze-and-excitation), joins of a single node and nodes that no
    output depends on are left out; the neighbours of a node that is left out are joined to each other.
    """
    types, raw_feeds = [node.type for node in raw], [node.feeds for node in raw]
    kept, feeds = contract(types, raw_feeds, [node.part_of_other for node in raw])
    ends = [{index for end in feed for index in ({end} if kept[end] else feeds[end])} for feed in outputs]
    alive = _ancestors(set().union(*ends), feeds)
    order = [index for index in range(len(raw)) if index == INPUT or (kept[index] and index in alive)]
    head = _head(ends[0], raw, feeds) if ends else []
    if head and head[0] not in ends[0]:
        _pool_before_head(head, order, ends[0], feeds)
    position = {index: place for place, index in enumerate(order)}
    nodes = tuple(_node(raw[index], parameters, index in head) for index in order)
    edges = tuple((position[start], position[end]) for end in order for start in sorted(feeds[end]))
    return nodes, edges


def _ancestors(ends: Iterable[int], feeds: list[frozenset[int]]) -> set[int]:
    alive: set[int] = set()
    stack = list(ends)
    while stack:
        index = stack.pop()
        if index not in alive:
            alive.add(index)
            stack.extend(feeds[index])
    return alive


def _head(ends: set[int], raw: list[RawNode], feeds: list[frozenset[int]]) -> list[int]:
    """The bias, if any, and the weight of the layer whose output, possibly pooled, is the network's first."""
    if len(ends) != 1:
        return []
    (last,) = ends
    if raw[last].type == "glob_avg" and len(feeds[last]) == 1:
        (last,) = feeds[last]
    weight = last
    if raw[last].type == "bias" and len(feeds[last]) == 1:
        (weight,) = feeds[last]
    if raw[weight].type not in _HEAD_TYPES or raw[weight].source != raw[last].source:
        return []
    return [last] if weight == last else [last, weight]


def _pool_before_head(head: list[int], order: list[int], ends: set[int], feeds: list[frozenset[int]]) -> None:
    """A convolutional head that is pooled counts as the same head on pooled data (SqueezeNet's, as published)."""
    (pooling,) = ends
    weight = head[-1]
    feeds[pooling], feeds[weight] = feeds[weight], frozenset({pooling})
    order.remove(pooling)
    order.insert(order.index(weight), pooling)


def _node(raw: RawNode, parameters: Mapping[str, nn.Parameter], head: bool) -> Node:
    param_shape = None if raw.param is None else tuple(parameters[raw.param].shape)
    shape = param_shape
    if raw.window is not None:
        shape = (1, 1, *raw.window)
    elif raw.shape is not None:
        shape = raw.shape
    elif param_shape is not None:
        shape = seen_shape(raw.type, param_shape, head)
    rider_shape = None if raw.rider is None else tuple(parameters[raw.rider].shape)
    other_shape = None if rider_shape == param_shape else rider_shape
    return Node(raw.type, raw.param, shape, param_shape, raw.rider, head, raw.source, other_shape)
