"""Typed nodes in the making, and what is known of the values between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

#: Index of the input among the nodes.
INPUT = 0


@dataclasses.dataclass(slots=True)
class RawNode:
    """A typed node before reduction; `feeds` are the indices of the nodes that data comes from."""

    type: str
    feeds: frozenset[int]
    param: str | None = None
    rider: str | None = None
    window: tuple[int, ...] | None = None
    source: str = ""
    part_of_other: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """What is known of a value of the trace.

    Attributes:
        feeds: the typed nodes that its data comes from.
        param: the parameter that it is, or is made from by operations on nothing else.
        pooled: the node of the pooling that took its spatial extent away, if nothing has joined it since.
        weighted: whether weights were applied since that pooling.
        softmax: whether it is a softmax, possibly reshaped or with dropout.
    """

    feeds: frozenset[int]
    param: str | None = None
    pooled: int | None = None
    weighted: bool = False
    softmax: bool = False


#: A value that carries no data.
NOTHING = Value(frozenset())


class NodeBuilder:
    """Collects typed nodes.

    Attributes:
        nodes: the nodes; `nodes[INPUT]` is the input.
        predicted: parameters that a node predicts, or that another use of the same layer would.
        emitted: parameters that have their node.
    """

    def __init__(self) -> None:
        self.nodes: list[RawNode] = [RawNode("input", frozenset(), source="input")]
        self.predicted: set[str] = set()
        self.emitted: set[str] = set()

    def add(
        self,
        node_type: str,
        feeds: frozenset[int],
        *,
        param: str | None = None,
        rider: str | None = None,
        window: tuple[int, ...] | None = None,
        source: str = "",
        fed_by_input: bool = True,
    ) -> int | None:
        """Index of a new node, or None where the operation has no weights and acts on the raw input."""
        feeds = feeds - {INPUT} or (frozenset({INPUT}) if fed_by_input else frozenset())
        if param is None and feeds <= {INPUT}:
            return None
        self.predicted.update(name for name in (param, rider) if name is not None)
        if param in self.emitted:  # a shared layer: predicted from its first use
            param = None
        if rider in self.emitted:
            rider = None
        self.emitted.update(name for name in (param, rider) if name is not None)
        self.nodes.append(RawNode(node_type, feeds, param, rider, window, source))
        return len(self.nodes) - 1


def union(values: Iterable[Value]) -> frozenset[int]:
    """The nodes that any of the values comes from."""
    feeds: frozenset[int] = frozenset()
    for value in values:
        feeds = value.feeds if not feeds else feeds | value.feeds
    return feeds


def through(inputs: list[Value], *, softmax: bool = False) -> Value:
    """The value of an operation that is no node: its inputs' data, unchanged."""
    if len(inputs) == 1:
        return dataclasses.replace(inputs[0], softmax=True) if softmax else inputs[0]
    data = [value for value in inputs if value.feeds]
    if not data:
        params = {value.param for value in inputs if value.param is not None}
        return Value(frozenset(), param=params.pop() if len(params) == 1 else None)
    return Value(
        union(data),
        pooled=data[0].pooled if len(data) == 1 else None,
        weighted=any(value.weighted for value in data),
        softmax=softmax or (len(data) == 1 and data[0].softmax),
    )
