"""From a trace to typed nodes: what each operation means to a GHN.

One pass in execution order. Each value of the trace carries where its data comes from (the typed nodes it flows out of)
and a few facts about how it was made; an operation that no rule names lets its inputs' data through unchanged. The
operations whose meaning depends on what surrounds them are decided here:

- a *sum* or *concat* joins data of at least two nodes (`ghn_init.graph.reduce` drops the others);
- a product of data with a gate computed from its own spatial mean is squeeze-and-excitation, "cse", and the mean
  is part of it; any other mean, or pooling to a fixed size, is "glob_avg";
- a product of matrices, one of them a softmax, is attention, "msa", fed by all of query, key and value;
- a table of parameters (1, positions, channels) or (1, channels, height, width) added to data is "pos_enc".

Operations on the raw input come before the first weights and are no nodes, as the published graphs have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import fx, nn

from ghn_init.graph.ops import op_of
from ghn_init.graph.rules import NodeRule, Rule, rule_for_module, rule_for_op

INPUT = 0

_SUM = frozenset({"add"})
_CONCAT = frozenset({"cat"})
_MEAN = frozenset({"mean"})
_PRODUCT = frozenset({"mul"})
_RESCALE = frozenset({"sub", "div", "rsub"})
_MATRIX_PRODUCT = frozenset({"matmul", "einsum", "baddbmm"})
_SOFTMAX = frozenset({"softmax"})
#: Reads of a tensor's shape and the like, which carry no data.
_METADATA = frozenset({"size", "dim", "numel", "ndimension", "stride", "is_floating_point"})
_DATA_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real", "imag", "data"})


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


@dataclasses.dataclass(slots=True)
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


_NOTHING = Value(frozenset())


class Abstraction:
    """Builds typed nodes from a trace.

    Attributes:
        nodes: the typed nodes, `nodes[INPUT]` being the input.
        outputs: for each output of the network, the nodes that its data comes from.
        seen: parameters that some operation of the trace uses.
        not_understood: layers with parameters that no rule covers, by class name or operation, with their count.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, parameters: Mapping[str, nn.Parameter]) -> None:
        self._root = root
        self._modules = dict(root.named_modules())
        self._parameters = parameters
        self._first_name = {id(parameter): name for name, parameter in reversed(list(parameters.items()))}
        self._emitted: set[str] = set()
        self.nodes: list[RawNode] = [RawNode("input", frozenset(), source="input")]
        self.outputs: list[frozenset[int]] = []
        self.seen: dict[str, str] = {}
        self.not_understood: dict[str, int] = {}
        self._values: dict[fx.Node, Value] = {}
        for node in graph.nodes:
            self._values[node] = getattr(self, f"_{node.op}")(node)

    # --- kinds of trace nodes -----------------------------------------------------------------------------------

    def _placeholder(self, node: fx.Node) -> Value:
        return Value(frozenset({INPUT}))

    def _get_attr(self, node: fx.Node) -> Value:
        name = str(node.target)
        parameter = self._parameters.get(name)
        if parameter is None:
            return _NOTHING
        name = self._first_name[id(parameter)]
        self.seen.setdefault(name, "read")
        return Value(frozenset(), param=name)

    def _output(self, node: fx.Node) -> Value:
        fx.node.map_arg(node.args, lambda n: self.outputs.append(self._values[n].feeds))
        return _NOTHING

    def _call_module(self, node: fx.Node) -> Value:
        path = str(node.target)
        module = self._modules[path]
        inputs = self._inputs(node)
        rule = rule_for_module(module)
        if rule is None:
            own = [name for name, _ in module.named_parameters()]
            if own:
                self._miss(type(module).__name__)
                for name in own:
                    self.seen[self._name_below(module, path, name)] = f"layer {type(module).__name__}"
            return self._through(inputs, is_softmax=isinstance(module, nn.Softmax))

        def parameter_of(attribute: str) -> str | None:
            owner, _, leaf = attribute.rpartition(".")
            holder = module.get_submodule(owner) if owner else module
            if holder._parameters.get(leaf) is None:
                return None
            return self._name_below(module, path, attribute)

        return self._apply_rule(rule, module, inputs, parameter_of, {}, path)

    def _call_method(self, node: fx.Node) -> Value:
        return self._call_function(node)

    def _call_function(self, node: fx.Node) -> Value:
        op = op_of(node)
        if op in _METADATA or (op == "getattr" and node.args[1] not in _DATA_ATTRIBUTES):
            return _NOTHING
        rule = rule_for_op(op)
        inputs = self._inputs(node)
        if rule is not None:
            return self._apply_function_rule(rule, node, inputs, op)
        if isinstance(op, str):
            for names, method in _CONTEXTUAL:
                if op in names:
                    return method(self, node, inputs)
        return self._through(inputs)

    # --- rules --------------------------------------------------------------------------------------------------

    def _apply_function_rule(self, rule: Rule, node: fx.Node, inputs: list[Value], op: Any) -> Value:
        arguments: dict[str, Any] = dict(zip(rule.arguments, node.args, strict=False)) | dict(node.kwargs)
        if not arguments and node.args:
            arguments = {"input": node.args[0]}
        stream_names = rule.stream or rule.arguments[:1] or ("input",)
        stream = [self._values[a] for name in stream_names if isinstance(a := arguments.get(name), fx.Node)]
        if len(stream) == 1 and stream[0].param is not None:  # weights made of weights, as in weight standardisation
            return stream[0]

        def parameter_of(argument: str) -> str | None:
            given = arguments.get(argument)
            return self._values[given].param if isinstance(given, fx.Node) else None

        label = op if isinstance(op, str) else getattr(op, "__name__", str(op))
        also = {name: self._values[a] for name, a in arguments.items() if isinstance(a, fx.Node)}
        return self._apply_rule(rule, arguments, stream, parameter_of, also, label)

    def _apply_rule(
        self,
        rule: Rule,
        layer: Any,
        inputs: list[Value],
        parameter_of: Callable[[str], str | None],
        arguments: Mapping[str, Value],
        source: str,
    ) -> Value:
        feeds = _union(inputs)
        emitted = has_weights = False
        for link in rule.chain:
            added = []
            for node_rule in link if isinstance(link, tuple) else (link,):
                param = parameter_of(node_rule.param) if node_rule.param else None
                if node_rule.param and param is None:
                    continue
                extra = _union(arguments[name] for name in node_rule.also if name in arguments)
                rider = parameter_of(node_rule.rider) if node_rule.rider else None
                index = self._emit(node_rule, layer, feeds | extra, param, rider, source)
                has_weights |= param is not None
                if index is not None:
                    added.append(index)
            if added:
                feeds = frozenset(added)
                emitted = True
        pooled = (
            next((value.pooled for value in inputs if value.pooled is not None), None) if len(inputs) == 1 else None
        )
        if emitted and self.nodes[max(feeds)].type == "glob_avg":
            return Value(feeds, pooled=max(feeds))
        return Value(feeds, pooled=pooled, weighted=has_weights or any(value.weighted for value in inputs))

    def _emit(
        self,
        rule: NodeRule,
        layer: Any,
        feeds: frozenset[int],
        param: str | None,
        rider: str | None,
        source: str,
    ) -> int | None:
        window = rule.window(layer) if rule.window else None
        return self._add(rule.type_of(layer), feeds, param=param, rider=rider, window=window, source=source)

    def _add(
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
        """A new typed node, or None where the operation has no weights and acts on the raw input."""
        feeds = feeds - {INPUT} or (frozenset({INPUT}) if fed_by_input else frozenset())
        if param is None and feeds <= {INPUT}:
            return None
        for name in (param, rider):
            if name is not None:
                self.seen[name] = "predicted"
        if param in self._emitted:  # a shared layer: predicted from its first use
            param = None
        if rider in self._emitted:
            rider = None
        self._emitted.update(name for name in (param, rider) if name is not None)
        self.nodes.append(RawNode(node_type, feeds, param, rider, window, source))
        return len(self.nodes) - 1

    # --- operations whose meaning depends on what surrounds them ---------------------------------------------------

    def _sum(self, node: fx.Node, inputs: list[Value]) -> Value:
        tables = [value for value in inputs if value.param is not None and self._is_position_table(value.param)]
        data = [value for value in inputs if value.feeds]
        if len(tables) == 1 and len(data) == 1 and tables[0].param not in self._emitted:
            table = self._add("pos_enc", frozenset(), param=tables[0].param, source=node.name, fed_by_input=False)
            assert table is not None
            inputs = [data[0], Value(frozenset({table}))]
        return self._join("sum", node, inputs)

    def _concat(self, node: fx.Node, inputs: list[Value]) -> Value:
        return self._join("concat", node, inputs)

    def _join(self, node_type: str, node: fx.Node, inputs: list[Value]) -> Value:
        joined = [value for value in inputs if value.feeds]
        self._absorb_pooling(joined, gates=False)
        if len(joined) < 2:
            return self._through(inputs)
        index = self._add(node_type, _union(joined), source=node.name)
        return self._through(inputs) if index is None else Value(frozenset({index}))

    def _mean(self, node: fx.Node, inputs: list[Value]) -> Value:
        if not inputs:
            return _NOTHING
        index = self._add("glob_avg", _union(inputs[:1]), source=node.name)
        return self._through(inputs) if index is None else Value(frozenset({index}), pooled=index)

    def _product(self, node: fx.Node, inputs: list[Value]) -> Value:
        data = [value for value in inputs if value.feeds]
        if self._absorb_pooling(data, gates=True):
            index = self._add("cse", _union(data), source=node.name)
            assert index is not None
            return Value(frozenset({index}))
        return self._through(inputs)

    def _rescale(self, node: fx.Node, inputs: list[Value]) -> Value:
        self._absorb_pooling([value for value in inputs if value.feeds], gates=False)
        return self._through(inputs)

    def _matrix_product(self, node: fx.Node, inputs: list[Value]) -> Value:
        data = [value for value in inputs if value.feeds]
        if any(value.softmax for value in data) and len(data) > 1:
            index = self._add("msa", _union(data), source=node.name)
            if index is not None:
                return Value(frozenset({index}))
        return self._through(inputs)

    def _soft(self, node: fx.Node, inputs: list[Value]) -> Value:
        return self._through(inputs, is_softmax=True)

    def _absorb_pooling(self, data: list[Value], *, gates: bool) -> bool:
        """Whether one of two values is a function of the other's spatial mean; that mean is then no node of its own.

        With `gates`, weights must have been applied in between (squeeze-and-excitation).
        """
        if len(data) != 2:
            return False
        for squeezed, whole in (data, data[::-1]):
            pooling = squeezed.pooled
            if pooling is None or whole.pooled == pooling or self.nodes[pooling].feeds != whole.feeds - {INPUT}:
                continue
            self.nodes[pooling].part_of_other = True
            return squeezed.weighted or not gates
        return False

    def _is_position_table(self, name: str) -> bool:
        shape = self._parameters[name].shape
        return len(shape) in (3, 4) and shape[0] == 1 and min(shape[1:]) > 1

    # --- helpers --------------------------------------------------------------------------------------------------

    def _through(self, inputs: list[Value], is_softmax: bool = False) -> Value:
        """An operation that is no node lets its inputs' data through."""
        if len(inputs) == 1:
            value = inputs[0]
            if not is_softmax:
                return value
            return dataclasses.replace(value, softmax=True)
        data = [value for value in inputs if value.feeds]
        params = {value.param for value in inputs if value.param is not None}
        if not data:
            return Value(frozenset(), param=params.pop() if len(params) == 1 else None)
        return Value(
            _union(data),
            pooled=data[0].pooled if len(data) == 1 else None,
            weighted=any(value.weighted for value in data),
            softmax=is_softmax or (len(data) == 1 and data[0].softmax),
        )

    def _inputs(self, node: fx.Node) -> list[Value]:
        return [self._values[value] for value in node.all_input_nodes]

    def _name_below(self, module: nn.Module, path: str, attribute: str) -> str:
        parameter = module.get_parameter(attribute)
        return self._first_name.get(id(parameter), f"{path}.{attribute}" if path else attribute)

    def _miss(self, what: str) -> None:
        self.not_understood[what] = self.not_understood.get(what, 0) + 1


def _union(values: Iterable[Value]) -> frozenset[int]:
    feeds: frozenset[int] = frozenset()
    for value in values:
        feeds = value.feeds if not feeds else feeds | value.feeds
    return feeds


_CONTEXTUAL: tuple[tuple[frozenset[str], Callable[[Abstraction, fx.Node, list[Value]], Value]], ...] = (
    (_SUM, Abstraction._sum),
    (_CONCAT, Abstraction._concat),
    (_MEAN, Abstraction._mean),
    (_PRODUCT, Abstraction._product),
    (_RESCALE, Abstraction._rescale),
    (_MATRIX_PRODUCT, Abstraction._matrix_product),
    (_SOFTMAX, Abstraction._soft),
)
