"""Operations whose meaning depends on what surrounds them.

- A *sum* or *concat* joins data of at least two nodes (`ghn_init.graph.reduce` drops the others); what a bare
  parameter is that takes part in one, `ghn_init.graph.roles` decides.
- A product of data with a gate computed from its own spatial mean is squeeze-and-excitation, "cse", and the mean is
  part of it; any other mean, or pooling to a fixed size, is "glob_avg".
- Any other product of two branches, or of two parts of one value, is "mul".
- Data divided by a statistic of itself is normalised; a factor for it makes a norm.
- Attention, "msa", is a product of data with a softmax, or of data with a product of data (linear attention), fed by
  all of query, key and value. What happens to its scores on the way is part of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from ghn_init.graph import roles
from ghn_init.graph.builder import NOTHING, NodeBuilder, Value, through, union
from ghn_init.graph.contract import INPUT
from ghn_init.graph.shapes import ELSEWHERE

#: The value of an operation: from the builder, all parameters, the operation's node, and the values of its inputs.
Meaning = Callable[[NodeBuilder, Mapping[str, nn.Parameter], fx.Node, list[Value]], Value]


def _sum(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    inputs = roles.added(build, parameters, node.name, inputs)
    total = _join("sum", build, node, inputs)
    if any(value.scores or value.softmax for value in inputs):
        roles.positions(build, inputs)
        flags = through(inputs)
        sums = flags.score_sums | (total.feeds - flags.feeds)
        return dataclasses.replace(total, softmax=flags.softmax, scores=flags.scores, score_sums=sums)
    if len(inputs) > 1 and all(value.products for value in inputs):
        return dataclasses.replace(total, products=total.feeds.union(*(value.products for value in inputs)))
    return total


def _concat(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    return _join("concat", build, node, roles.concatenated(build, node.name, inputs))


def _join(node_type: str, build: NodeBuilder, node: fx.Node, inputs: list[Value]) -> Value:
    joined = [value for value in inputs if value.feeds]
    _absorb_pooling(build, joined)
    if len({value.feeds for value in joined}) < 2:
        return through(inputs)
    index = build.add(node_type, union(joined), source=node.name)
    return through(inputs) if index is None else Value(frozenset({index}))


def _stack(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    return dataclasses.replace(through(inputs), stacked=sum(bool(value.feeds) for value in inputs) > 1)


def _reduction(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    """A sum over elements: of stacked values their sum, of a product one half of linear attention, perhaps."""
    if inputs and inputs[0].gated is not None:
        return dataclasses.replace(inputs[0], attended=inputs[0].gated, gated=None)
    if not inputs or not inputs[0].stacked:
        return through(inputs) if inputs else NOTHING
    index = build.add("sum", inputs[0].feeds, source=node.name)
    return through(inputs) if index is None else Value(frozenset({index}))


def _mean(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    if not inputs or not inputs[0].feeds or inputs[0].stacked:
        return _reduction(build, parameters, node, inputs)
    index = build.add("glob_avg", inputs[0].feeds, source=node.name)
    return through(inputs) if index is None else Value(frozenset({index}), pooled=index)


def _statistic(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    return dataclasses.replace(through(inputs), statistic=True)


def _product(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    inputs = roles.multiplied(build, parameters, node.name, inputs)
    data = [value for value in inputs if value.feeds]
    if len(data) != 2:
        return through(inputs)
    squeezed = _absorb_pooling(build, data, gates=True)
    if squeezed is not None and squeezed.weighted:
        index = build.add("cse", union(data), source=node.name)
        assert index is not None
        return Value(frozenset({index}))
    if squeezed is not None or _is_rescaled(data):
        return dataclasses.replace(through(inputs), normalised=True, statistic=False)
    if any(value.attended is not None for value in data):
        return _attention(build, node, data)
    one, other = data
    if min(len(value.feeds - {INPUT}) for value in data) == 0 or (one.feeds == other.feeds and one.part == other.part):
        return through(inputs)
    index = build.add("mul", union(data), source=node.name)
    return (
        through(inputs)
        if index is None
        else dataclasses.replace(through(inputs), feeds=frozenset({index}), gated=index)
    )


def _normalised(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    return dataclasses.replace(through(inputs), normalised=True)


def _quotient(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    data = [value for value in inputs if value.feeds]
    absorbed = _absorb_pooling(build, data) is not None
    if absorbed or _is_rescaled(data):
        return dataclasses.replace(through(inputs), normalised=True, statistic=False)
    return through(inputs)


def _difference(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    """Data less its own mean is that data still."""
    data = [value for value in inputs if value.feeds]
    mean = _absorb_pooling(build, data)
    if mean is not None and mean.feeds == {mean.pooled}:
        return next(value for value in data if value is not mean)
    return through(inputs)


def _is_rescaled(data: list[Value]) -> bool:
    """Whether data is multiplied with, or divided by, a statistic of the same data."""
    return len(data) == 2 and data[0].feeds == data[1].feeds and data[0].statistic != data[1].statistic


def _matrix_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    inputs = roles.projected(build, parameters, node.name, inputs)
    data = [value for value in inputs if value.feeds]
    if len(data) < 2:
        return through(inputs)
    if any(value.softmax or value.scores or value.attended is not None for value in data):
        return _attention(build, node, data)
    return dataclasses.replace(through(inputs), scores=True)


def _attention(build: NodeBuilder, node: fx.Node, data: list[Value]) -> Value:
    """Data weighted by other data. Without scores of query and key it may be the first half of linear attention."""
    for value in data:
        halves = (value.attended, value.gated if value.softmax else None)
        for part in (*value.score_sums, *(half for half in halves if half is not None)):
            build.nodes[part].part_of_other = True
    index = build.add("msa", union(data), source=node.name)
    if index is None:
        return through(data)
    whole = any(value.scores for value in data)
    return Value(frozenset({index}), attended=None if whole else index, pooled=None if whole else index)


def _grouped_matrix_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    """What follows the two factors says where the groups end."""
    return _matrix_product(build, parameters, node, inputs[:2])


def _sum_with_matrix_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    """What is added to a matrix product comes first."""
    product = _matrix_product(build, parameters, node, inputs[1:])
    return _sum(build, parameters, node, [product, *inputs[:1]])


def _sum_with_product(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    product = _product(build, parameters, node, inputs[1:])
    return _sum(build, parameters, node, [*inputs[:1], product])


def _softmax(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    return through(inputs, softmax=True)


def _transposed(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]
) -> Value:
    value = through(inputs)
    return dataclasses.replace(value, transposed=not value.transposed) if value.params else value


def _item(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], node: fx.Node, inputs: list[Value]) -> Value:
    """A part of a value; of a parameter, entries chosen by constants (a table of positions) or by data (a lookup)."""
    if not inputs:
        return NOTHING
    whole, *indices = inputs
    if whole.feeds:
        return dataclasses.replace(whole, part=f"{whole.part}{node.args[1:]}")
    if not whole.params:
        return whole
    chosen = union(indices)
    if not chosen and _has_tensor(node.args[1:]):
        return dataclasses.replace(whole, looked_up=True)
    matrices = any(parameters[name].dim() > 2 for name in whole.params)  # one for each expert, say
    if not chosen or matrices:
        return dataclasses.replace(whole, part=str(node.args[1:]))
    found = [build.add("embedding", chosen, param=name, source=node.name) for name in whole.params]
    return Value(frozenset(index for index in found if index is not None))


def _has_tensor(index: Any) -> bool:
    if isinstance(index, (tuple, list)):
        return any(_has_tensor(part) for part in index)
    return isinstance(index, fx.Node) or index == ELSEWHERE


def _absorb_pooling(build: NodeBuilder, data: list[Value], *, gates: bool = False) -> Value | None:
    """The one of two values that is a function of the other's spatial mean, if any; that mean is then no node.

    With `gates`, attention with weights behind it may take the place of the mean.
    """
    if len(data) != 2:
        return None
    for squeezed, whole in (data, data[::-1]):
        pooling = squeezed.pooled
        if pooling is None or whole.pooled == pooling or not _pools(build, pooling, whole.feeds - {INPUT}):
            continue
        if build.nodes[pooling].type == "msa" and not (gates and squeezed.weighted):
            continue
        build.nodes[pooling].part_of_other = True
        return squeezed
    return None


def _pools(build: NodeBuilder, pooling: int, feeds: frozenset[int]) -> bool:
    """Whether the pooling acts on data from `feeds`, or on the sum of these."""
    pooled = build.nodes[pooling].feeds
    if pooled == feeds or (build.nodes[pooling].type == "msa" and feeds <= pooled):
        return True
    return len(pooled) == 1 and all(
        build.nodes[node].type == "sum" and build.nodes[node].feeds == feeds for node in pooled
    )


#: What decides on an operation, by its canonical name.
MEANINGS: dict[str, Meaning] = {
    "add": _sum,
    "cat": _concat,
    "stack": _stack,
    "sum": _reduction,
    "mean": _mean,
    "mul": _product,
    "sub": _difference,
    "rsub": _difference,
    "div": _quotient,
    "matmul": _matrix_product,
    "einsum": _matrix_product,
    "grouped_mm": _grouped_matrix_product,
    "baddbmm": _sum_with_matrix_product,
    "addmm": _sum_with_matrix_product,
    "addcmul": _sum_with_product,
    "softmax": _softmax,
    "normalize": _normalised,
    "getitem": _item,
    "index_select": _item,
    **dict.fromkeys(("t", "T", "mT", "transpose", "swapaxes", "permute"), _transposed),
    **dict.fromkeys(("var", "std", "norm", "vector_norm", "linalg_vector_norm", "var_mean", "std_mean"), _statistic),
}
