"""Operations whose meaning depends on what surrounds them.

- A *sum* or *concat* joins data of at least two nodes (`ghn_init.graph.reduce` drops the others).
- A table of parameters (1, positions, channels) or (1, channels, height, width) added to data is "pos_enc".
- A product of data with a gate computed from its own spatial mean is squeeze-and-excitation, "cse", and the mean is
  part of it; any other mean, or pooling to a fixed size, is "glob_avg".
- A product of matrices, one of them a softmax, is attention, "msa", fed by all of query, key and value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from ghn_init.graph.builder import INPUT, NOTHING, NodeBuilder, Value, through, union

#: The value of an operation: from the builder, all parameters, the operation's name, and the values of its inputs.
Meaning = Callable[[NodeBuilder, Mapping[str, nn.Parameter], str, list[Value]], Value]


def _sum(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    tables = [value.param for value in inputs if value.param and _is_position_table(parameters[value.param])]
    data = [value for value in inputs if value.feeds]
    if len(tables) == 1 and len(data) == 1 and tables[0] not in build.emitted:
        table = build.add("pos_enc", frozenset(), param=tables[0], source=name, fed_by_input=False)
        assert table is not None
        inputs = [data[0], Value(frozenset({table}))]
    return _join("sum", build, name, inputs)


def _concat(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    return _join("concat", build, name, inputs)


def _join(node_type: str, build: NodeBuilder, name: str, inputs: list[Value]) -> Value:
    joined = [value for value in inputs if value.feeds]
    _absorb_pooling(build, joined, gates=False)
    if len(joined) < 2:
        return through(inputs)
    index = build.add(node_type, union(joined), source=name)
    return through(inputs) if index is None else Value(frozenset({index}))


def _mean(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    if not inputs:
        return NOTHING
    index = build.add("glob_avg", inputs[0].feeds, source=name)
    return through(inputs) if index is None else Value(frozenset({index}), pooled=index)


def _product(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    data = [value for value in inputs if value.feeds]
    if _absorb_pooling(build, data, gates=True):
        index = build.add("cse", union(data), source=name)
        assert index is not None
        return Value(frozenset({index}))
    return through(inputs)


def _rescale(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    _absorb_pooling(build, [value for value in inputs if value.feeds], gates=False)
    return through(inputs)


def _matrix_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]
) -> Value:
    data = [value for value in inputs if value.feeds]
    if len(data) > 1 and any(value.softmax for value in data):
        index = build.add("msa", union(data), source=name)
        if index is not None:
            return Value(frozenset({index}))
    return through(inputs)


def _softmax(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    return through(inputs, softmax=True)


def _absorb_pooling(build: NodeBuilder, data: list[Value], *, gates: bool) -> bool:
    """Whether one of two values is a function of the other's spatial mean; that mean is then no node of its own.

    With `gates`, weights must have been applied in between (squeeze-and-excitation).
    """
    if len(data) != 2:
        return False
    for squeezed, whole in (data, data[::-1]):
        pooling = squeezed.pooled
        if pooling is None or whole.pooled == pooling or build.nodes[pooling].feeds != whole.feeds - {INPUT}:
            continue
        build.nodes[pooling].part_of_other = True
        return squeezed.weighted or not gates
    return False


def _is_position_table(parameter: nn.Parameter) -> bool:
    shape = parameter.shape
    return len(shape) in (3, 4) and shape[0] == 1 and min(shape[1:]) > 1


#: What decides on an operation, by its canonical name.
MEANINGS: dict[str, Meaning] = {
    "add": _sum,
    "cat": _concat,
    "mean": _mean,
    "mul": _product,
    "sub": _rescale,
    "rsub": _rescale,
    "div": _rescale,
    "matmul": _matrix_product,
    "einsum": _matrix_product,
    "baddbmm": _matrix_product,
    "softmax": _softmax,
}
