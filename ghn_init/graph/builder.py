"""Typed nodes in the making, and what is known of the values between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from ghn_init.graph.contract import INPUT


@dataclasses.dataclass(slots=True)
class RawNode:
    """A typed node before reduction; `feeds` are the indices of the nodes that data comes from."""

    type: str
    feeds: frozenset[int]
    param: str | None = None
    rider: str | None = None
    window: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    source: str = ""
    part_of_other: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """What is known of a value of the trace.

    Attributes:
        feeds: the typed nodes that its data comes from.
        params: the parameters that it is made from by operations on nothing else, the main one first.
        pooled: the node of the pooling that took its spatial extent away, if nothing has joined it since.
        weighted: whether weights were applied since that pooling.
        softmax: whether it is a softmax, possibly reshaped or with dropout.
        scores: whether it is a product of data with data, as attention scores are.
        score_sums: the sums on the way from the scores, which are part of the attention if it becomes one.
        attended: the node of an attention that may not be whole yet, which it is the bare result of.
        gated: the node of the product of two branches that it is the bare result of.
        statistic: whether it is a variance, norm or the like of data.
        normalised: whether it was divided by a statistic of itself, and no weights were applied since.
        normed: the node of the norm that it is the bare result of, while its offset may still come.
        products: the nodes of products of data with bare parameters that it is the result of.
        transposed: whether dimensions of a parameter were swapped.
        looked_up: whether entries of a parameter were chosen by index.
        part: which part of a larger tensor or parameter it is; None for a whole.
        stacked: whether it is several values stacked.
    """

    feeds: frozenset[int]
    params: tuple[str, ...] = ()
    pooled: int | None = None
    weighted: bool = False
    softmax: bool = False
    scores: bool = False
    score_sums: frozenset[int] = frozenset()
    attended: int | None = None
    gated: int | None = None
    statistic: bool = False
    normalised: bool = False
    normed: int | None = None
    products: frozenset[int] = frozenset()
    transposed: bool = False
    looked_up: bool = False
    part: str | None = None
    stacked: bool = False


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
        self._tables: dict[str, int] = {}

    def add(
        self,
        node_type: str,
        feeds: frozenset[int],
        *,
        param: str | None = None,
        rider: str | None = None,
        window: tuple[int, ...] | None = None,
        shape: tuple[int, ...] | None = None,
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
        self.nodes.append(RawNode(node_type, feeds, param, rider, window, shape, source))
        return len(self.nodes) - 1

    def table(self, node_type: str, param: str, source: str) -> int | None:
        """The node of a parameter that nothing feeds; None if the parameter is another layer's already."""
        if param not in self.emitted:
            index = self.add(node_type, frozenset(), param=param, source=source, fed_by_input=False)
            assert index is not None
            self._tables[param] = index
        return self._tables.get(param)

    def known_table(self, param: str) -> int | None:
        """The node of a parameter that nothing feeds, if it has one."""
        return self._tables.get(param)

    def ride(self, node: int, param: str) -> bool:
        """Whether `param` could be made the rider of a norm's node that has none."""
        if self.nodes[node].rider is not None or param in self.emitted:
            return False
        self.nodes[node].rider = param
        self.emitted.add(param)
        self.predicted.add(param)
        return True


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
        params = dict.fromkeys(name for value in inputs for name in value.params)
        return Value(
            frozenset(),
            tuple(params),
            transposed=any(value.transposed for value in inputs),
            looked_up=any(value.looked_up for value in inputs),
        )
    if len(data) == 1:
        return dataclasses.replace(data[0], softmax=True) if softmax else data[0]
    return Value(
        union(data),
        weighted=any(value.weighted for value in data),
        softmax=softmax or any(value.softmax for value in data),
        scores=any(value.scores for value in data),
        score_sums=frozenset().union(*(value.score_sums for value in data)),
    )
