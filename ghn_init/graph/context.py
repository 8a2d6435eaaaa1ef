"""Operations whose meaning depends on what surrounds them.

- A *sum* or *concat* joins data of at least two nodes (`ghn_init.graph.reduce` drops the others); what a bare
  parameter is that takes part in one, `ghn_init.graph.roles` decides.
- A product of data with a gate computed from its own spatial mean is squeeze-and-excitation, "cse", and the mean is
  part of it; any other mean, or pooling to a fixed size, is "glob_avg".
- Any other product of two branches is "mul".
- Data divided by a statistic of itself is normalised; a factor for it makes a norm.
- Attention, "msa", is a product of data with a softmax, or with a product of data (linear attention), fed by all of
  query, key and value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from torch import nn

from ghn_init.graph import roles
from ghn_init.graph.builder import NOTHING, NodeBuilder, Value, through, union
from ghn_init.graph.contract import INPUT

#: The value of an operation: from the builder, all parameters, the operation's name, and the values of its inputs.
Meaning = Callable[[NodeBuilder, Mapping[str, nn.Parameter], str, list[Value]], Value]


def _sum(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    inputs = roles.added(build, parameters, name, inputs)
    scores = [value for value in inputs if value.scores]
    terms = [build.nodes[value.product] for value in inputs if value.product is not None and not value.scores]
    if scores and terms:  # a product with a table of positions, not with weights
        for node in terms:
            node.type = "rel_pos"
    return dataclasses.replace(_join("sum", build, name, inputs), scores=bool(scores))


def _concat(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    return _join("concat", build, name, roles.concatenated(build, name, inputs))


def _join(node_type: str, build: NodeBuilder, name: str, inputs: list[Value]) -> Value:
    joined = [value for value in inputs if value.feeds]
    _absorb_pooling(build, joined)
    if len(joined) < 2:
        return through(inputs)
    index = build.add(node_type, union(joined), source=name)
    return through(inputs) if index is None else Value(frozenset({index}))


def _mean(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    if not inputs or not inputs[0].feeds:
        return through(inputs) if inputs else NOTHING
    index = build.add("glob_avg", inputs[0].feeds, source=name)
    return through(inputs) if index is None else Value(frozenset({index}), pooled=index)


def _statistic(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    return dataclasses.replace(through(inputs), statistic=True)


def _product(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    inputs = roles.multiplied(build, parameters, name, inputs)
    data = [value for value in inputs if value.feeds]
    if len(data) != 2:
        return through(inputs)
    squeezed = _absorb_pooling(build, data)
    if squeezed is not None and squeezed.weighted:
        index = build.add("cse", union(data), source=name)
        assert index is not None
        return Value(frozenset({index}))
    if squeezed is not None or _is_rescaled(data):
        return dataclasses.replace(through(inputs), normalised=True, statistic=False)
    if data[0].feeds == data[1].feeds or min(len(value.feeds - {INPUT}) for value in data) == 0:
        return through(inputs)
    index = build.add("mul", union(data), source=name)
    return through(inputs) if index is None else dataclasses.replace(through(inputs), feeds=frozenset({index}))


def _quotient(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    data = [value for value in inputs if value.feeds]
    absorbed = _absorb_pooling(build, data) is not None
    if absorbed or _is_rescaled(data):
        return dataclasses.replace(through(inputs), normalised=True, statistic=False)
    return through(inputs)


def _difference(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    _absorb_pooling(build, [value for value in inputs if value.feeds])
    return through(inputs)


def _is_rescaled(data: list[Value]) -> bool:
    """Whether data is multiplied with, or divided by, a statistic of the same data."""
    return len(data) == 2 and data[0].feeds == data[1].feeds and data[0].statistic != data[1].statistic


def _matrix_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]
) -> Value:
    inputs = roles.projected(build, parameters, name, inputs)
    data = [value for value in inputs if value.feeds]
    if len(data) < 2:
        return through(inputs)
    if any(value.softmax or value.scores or value.attended is not None for value in data):
        for value in data:  # the first product of linear attention, taken for the whole
            if value.attended is not None:
                build.nodes[value.attended].part_of_other = True
        index = build.add("msa", union(data), source=name)
        if index is not None:
            return Value(frozenset({index}), attended=index)
    return dataclasses.replace(through(inputs), scores=True)


def _sum_and_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]
) -> Value:
    """What is added to a matrix product comes first."""
    return _sum(build, parameters, name, [_matrix_product(build, parameters, name, inputs[1:]), inputs[0]])


def _softmax(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    return through(inputs, softmax=True)


def _transposed(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], name: str, inputs: list[Value]) -> Value:
    value = through(inputs)
    return dataclasses.replace(value, transposed=not value.transposed) if value.params else value


def _absorb_pooling(build: NodeBuilder, data: list[Value]) -> Value | None:
    """The one of two values that is a function of the other's spatial mean, if any; that mean is then no node."""
    if len(data) != 2:
        return None
    for squeezed, whole in (data, data[::-1]):
        pooling = squeezed.pooled
        if pooling is None or whole.pooled == pooling or build.nodes[pooling].feeds != whole.feeds - {INPUT}:
            continue
        build.nodes[pooling].part_of_other = True
        return squeezed
    return None


#: What decides on an operation, by its canonical name.
MEANINGS: dict[str, Meaning] = {
    "add": _sum,
    "cat": _concat,
    "mean": _mean,
    "var": _statistic,
    "std": _statistic,
    "norm": _statistic,
    "vector_norm": _statistic,
    "linalg_vector_norm": _statistic,
    "var_mean": _statistic,
    "std_mean": _statistic,
    "mul": _product,
    "sub": _difference,
    "rsub": _difference,
    "div": _quotient,
    "matmul": _matrix_product,
    "einsum": _matrix_product,
    "baddbmm": _sum_and_product,
    "addmm": _sum_and_product,
    "softmax": _softmax,
    "t": _transposed,
    "T": _transposed,
    "mT": _transposed,
    "transpose": _transposed,
    "swapaxes": _transposed,
    "permute": _transposed,
}
