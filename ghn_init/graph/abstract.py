"""From a trace to typed nodes: what each operation means to a GHN.

One pass in execution order. Each value of the trace carries where its data comes from (the typed nodes it flows out
of) and a few facts about how it was made. Layers and functions with a rule become the rule's nodes; operations whose
meaning depends on what surrounds them are decided in `ghn_init.graph.context`; any other lets its inputs' data through.

Operations on the raw input come before the first weights and are no nodes, as the published graphs have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from ghn_init.graph import roles
from ghn_init.graph.builder import NOTHING, NodeBuilder, RawNode, Value, through, union
from ghn_init.graph.context import MEANINGS
from ghn_init.graph.contract import INPUT
from ghn_init.graph.ops import op_of, writes_in_place
from ghn_init.graph.rules import NodeRule, Rule, rule_for_module, rule_for_op

#: Reads of a tensor's shape and the like, which carry no data.
_METADATA = frozenset(
    {"size", "dim", "numel", "ndimension", "stride", "is_floating_point"}
    | {f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn")}
    | {f"new_{kind}" for kind in ("zeros", "ones", "empty", "full", "tensor")}
)
#: Operations that take only the shape or dtype of their second input.
_LIKE_ANOTHER = frozenset({"expand_as", "view_as", "reshape_as", "type_as"})
#: What comes out of these is data, not attention scores.
_NOT_OF_SCORES = frozenset({"msa", "bn", "ln"})
_DATA_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real", "imag", "data"})


class Abstraction:
    """Builds typed nodes from a trace.

    Attributes:
        outputs: for each output of the network, the nodes that its data comes from.
        seen: parameters that some operation of the trace uses.
        not_understood: layers with parameters that no rule covers, by class name or operation, with their count.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, parameters: Mapping[str, nn.Parameter]) -> None:
        self._modules = dict(root.named_modules())
        self._parameters = parameters
        self._first_name = {id(parameter): name for name, parameter in reversed(list(parameters.items()))}
        self._build = NodeBuilder()
        self.outputs: list[frozenset[int]] = []
        self.seen: dict[str, str] = {}
        self.not_understood: dict[str, int] = {}
        self._values: dict[fx.Node, Value] = {}
        kinds: dict[str, Callable[[fx.Node], Value]] = {
            "placeholder": self._placeholder,
            "get_attr": self._get_attr,
            "call_module": self._call_module,
            "call_function": self._call,
            "call_method": self._call,
            "output": self._output,
        }
        for node in graph.nodes:
            self._values[node] = kinds[node.op](node)
        self.seen.update(dict.fromkeys(self._build.predicted, "predicted"))

    @property
    def nodes(self) -> list[RawNode]:
        """The typed nodes; `nodes[INPUT]` is the input."""
        return self._build.nodes

    def _placeholder(self, node: fx.Node) -> Value:
        return Value(frozenset({INPUT}))

    def _get_attr(self, node: fx.Node) -> Value:
        name = str(node.target)
        parameter = self._parameters.get(name)
        if parameter is None:
            return NOTHING
        name = self._first_name[id(parameter)]
        self.seen.setdefault(name, "read")
        return Value(frozenset(), (name,))

    def _output(self, node: fx.Node) -> Value:
        for value in node.all_input_nodes:
            if isinstance(value.target, type):  # a named tuple or other record of several outputs
                self._output(value)
            else:
                self.outputs.append(self._values[value].feeds)
        return NOTHING

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
            return through(inputs, softmax=isinstance(module, nn.Softmax))

        def parameters_of(attribute: str) -> tuple[str, ...]:
            owner, _, leaf = attribute.rpartition(".")
            holder = module.get_submodule(owner) if owner else module
            if holder._parameters.get(leaf) is None:
                return ()
            return (self._name_below(module, path, attribute),)

        inputs = [roles.as_data(self._build, path, value) for value in inputs]
        return self._apply_rule(rule, module, inputs, parameters_of, {}, path)

    def _call(self, node: fx.Node) -> Value:
        value = self._result(node)
        if node.args and isinstance(node.args[0], fx.Node) and writes_in_place(node.target):
            self._values[node.args[0]] = value
        return value

    def _result(self, node: fx.Node) -> Value:
        op = op_of(node)
        if op in _METADATA or (op == "getattr" and node.args[1] not in _DATA_ATTRIBUTES):
            return NOTHING
        rule = rule_for_op(op)
        inputs = self._inputs(node)[: 1 if op in _LIKE_ANOTHER else None]
        if rule is not None:
            return self._apply_function_rule(rule, node, inputs, op)
        meaning = MEANINGS.get(op) if isinstance(op, str) else None
        return through(inputs) if meaning is None else meaning(self._build, self._parameters, node, inputs)

    def _apply_function_rule(self, rule: Rule, node: fx.Node, inputs: list[Value], op: Any) -> Value:
        arguments: dict[str, Any] = dict(zip(rule.arguments, node.args, strict=False)) | dict(node.kwargs)
        if not arguments and node.args:
            arguments = {"input": node.args[0]}
        stream_names = rule.stream or rule.arguments[:1] or ("input",)
        stream = [self._values[a] for name in stream_names if isinstance(a := arguments.get(name), fx.Node)]
        if rule.of_weights and len(stream) == 1 and stream[0].params:  # weights made of weights: standardised ones
            return through(inputs)

        def parameters_of(argument: str) -> tuple[str, ...]:
            given = arguments.get(argument)
            return self._values[given].params if isinstance(given, fx.Node) else ()

        label = op if isinstance(op, str) else getattr(op, "__name__", str(op))
        also = {name: self._values[a] for name, a in arguments.items() if isinstance(a, fx.Node)}
        stream = [roles.as_data(self._build, label, value) for value in stream]
        made = [also[rule.param] for rule in rule.node_rules(arguments) if rule.param in also]
        stream += [value for value in made if value.feeds]  # weights that the network makes from data
        return self._apply_rule(rule, arguments, stream, parameters_of, also, label)

    def _apply_rule(
        self,
        rule: Rule,
        layer: Any,
        inputs: list[Value],
        parameters_of: Callable[[str], tuple[str, ...]],
        arguments: Mapping[str, Value],
        source: str,
    ) -> Value:
        feeds = union(inputs)
        has_weights = False
        last: int | None = None
        for link in rule.links(layer):
            added = []
            for node_rule in link if isinstance(link, tuple) else (link,):
                given = parameters_of(node_rule.param) if node_rule.param else ()
                params, gains = self._main(given)
                extra = union(self._fed(arguments, node_rule.also, source))
                rider = next(iter(parameters_of(node_rule.rider)), None) if node_rule.rider else None
                for param in params if node_rule.param else (None,):
                    last = self._build.add(
                        node_rule.type_of(layer),
                        feeds | extra,
                        param=param,
                        rider=rider,
                        window=node_rule.window(layer) if node_rule.window else None,
                        shape=self._seen(node_rule, layer, param),
                        source=source,
                    )
                    has_weights |= param is not None
                    if last is not None:
                        added.append(last)
                for gain in gains:
                    last = self._build.add("layer_scale", frozenset(added), param=gain, source=source)
                    added = [last] if last is not None else added
            if added:
                feeds = frozenset(added)
        if last is not None and feeds == {last} and self._build.nodes[last].type == "glob_avg":
            return Value(feeds, pooled=last)
        if rule.of_weights and not has_weights and len(inputs) == 1:
            return dataclasses.replace(inputs[0], normalised=True)
        weighted = has_weights or any(value.weighted for value in inputs)
        if len(inputs) != 1:
            return Value(feeds, weighted=weighted)
        (before,) = inputs  # weights may mix the channels of a squeezed map, or the heads of attention scores
        if not before.softmax or any(self._build.nodes[index].type in _NOT_OF_SCORES for index in feeds):
            return Value(feeds, pooled=before.pooled, weighted=weighted)
        return Value(feeds, pooled=before.pooled, weighted=weighted, softmax=True, scores=before.scores)

    def _seen(self, rule: NodeRule, layer: Any, param: str | None) -> tuple[int, ...] | None:
        if rule.shape is None or param is None:
            return None
        return rule.shape(layer, tuple(self._parameters[param].shape))

    def _main(self, params: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of the parameters that weights are made from, the largest, and those that scale them channel by channel."""
        sizes = [self._parameters[name].numel() for name in params]
        main = tuple(name for name, size in zip(params, sizes, strict=True) if size == max(sizes))
        return main, tuple(name for name in params if name not in main and roles.is_vector(self._parameters[name]))

    def _fed(self, arguments: Mapping[str, Value], names: tuple[str, ...], source: str) -> list[Value]:
        """What further arguments of a function feed it, bare parameters among them as tables of positions."""
        given = [arguments[name] for name in names if name in arguments]
        roles.positions(self._build, given)
        tables = [self._build.table("rel_pos", param, source) for value in given for param in value.params]
        return [*given, Value(frozenset(index for index in tables if index is not None))]

    def _inputs(self, node: fx.Node) -> list[Value]:
        return [self._values[value] for value in node.all_input_nodes]

    def _name_below(self, module: nn.Module, path: str, attribute: str) -> str:
        parameter = module.get_parameter(attribute)
        return self._first_name.get(id(parameter), f"{path}.{attribute}" if path else attribute)

    def _miss(self, what: str) -> None:
        self.not_understood[what] = self.not_understood.get(what, 0) + 1
