"""From raw typed nodes to the graph: what is redundant goes, what remains keeps its connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from ghn_init.graph.arch import Node
from ghn_init.graph.builder import RawNode
from ghn_init.graph.contract import INPUT, contract
from ghn_init.graph.views import seen_shape

_HEAD_TYPES = frozenset({"conv"})
_AFTER_WEIGHT = frozenset({"bias", "layer_scale"})  # a layer's own: its bias, the sizes of a weight-normed weight


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
    heads = _heads(ends[0], raw, feeds, parameters) if ends else []
    if len(heads) == 1 and heads[0][0] not in ends[0]:
        _pool_before_head(heads[0], order, ends[0], feeds)
    head = frozenset(index for layer in heads for index in layer)
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


def _heads(
    ends: set[int], raw: list[RawNode], feeds: list[frozenset[int]], parameters: Mapping[str, nn.Parameter]
) -> list[list[int]]:
    """The classifier heads, each as its bias, if any, and its weight.

    There is one, whose output, possibly pooled or scaled, is the network's first; or there are several of as many
    classes, of whose outputs that is the sum or the mean (DeiT's of the class and of the distillation token).
    """
    if len(ends) != 1:
        return []
    (last,) = ends
    if raw[last].type == "sum":
        found = [_head(index, raw, feeds) for index in sorted(feeds[last])]
        names = [raw[layer[-1]].param for layer in found if layer]
        classes = {parameters[name].shape[0] for name in names if name is not None}
        return found if all(found) and len(classes) == 1 else []
    if raw[last].type == "glob_avg" and len(feeds[last]) == 1:
        (last,) = feeds[last]
    layer = _head(last, raw, feeds)
    return [layer] if layer else []


def _head(last: int, raw: list[RawNode], feeds: list[frozenset[int]]) -> list[int]:
    """The nodes of the layer that ends here, or before a learned factor, its weight last; nothing if it is no layer."""
    layer = [last]
    while raw[layer[-1]].type in _AFTER_WEIGHT and len(feeds[layer[-1]]) == 1:
        layer += feeds[layer[-1]]
    own = [index for index in layer if raw[index].source == raw[layer[-1]].source]
    rest = layer[: -len(own)]
    factors = all(raw[index].type == "layer_scale" for index in rest)
    return own if factors and own == layer[len(rest) :] and raw[layer[-1]].type in _HEAD_TYPES else []


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
