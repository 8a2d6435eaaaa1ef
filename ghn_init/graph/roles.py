"""What a bare parameter is to the network: its role follows from how it meets the data.

| met by       | with                       | role          |
| ------------ | -------------------------- | ------------- |
| addition     | one number a channel       | "bias", or the offset of the norm just before |
|              | attention scores           | "rel_pos"     |
|              | anything else              | "pos_enc"     |
| product      | normalised data, one number a channel | the norm, "ln" |
|              | other data, or one number for all | "layer_scale" |
| concatenation, or as the data itself |    | "token"       |
| matrix product | entries of it chosen by place | "rel_pos"  |
|              | the whole                  | "conv"        |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor, nn

from ghn_init.graph.builder import NodeBuilder, Value, union
from ghn_init.graph.views import matrix


def added(build: NodeBuilder, parameters: Mapping[str, nn.Parameter], source: str, inputs: list[Value]) -> list[Value]:
    """The terms of a sum, those that are parameters as nodes."""
    data = [value for value in inputs if value.feeds]
    tables = _bare(inputs)
    if len(data) != 1 or not tables:
        return inputs
    (value,) = data
    terms: list[Value] = []
    for name in tables:
        known = build.known_table(name)
        if known is not None:  # a token, say, that was data before
            terms.append(Value(frozenset({known})))
        elif is_vector(parameters[name]):
            if value.normed is not None and build.ride(value.normed, name):
                value = dataclasses.replace(value, normed=None)
            else:
                value = _link(build, "bias", name, value, source)
        elif value.scores:
            index = build.table("rel_pos", name, source)
            if index is not None:
                value = dataclasses.replace(value, feeds=value.feeds | {index})
        else:
            index = build.table("pos_enc", name, source)
            if index is not None:
                terms.append(Value(frozenset({index})))
    return [value, *terms]


def multiplied(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], source: str, inputs: list[Value]
) -> list[Value]:
    """The factors of a product, those that are parameters, one number a channel, as nodes behind the data."""
    data = [value for value in inputs if value.feeds]
    rows = {name for value in inputs if value.part is not None for name in value.params}
    factors = [
        name
        for name in _bare(inputs)
        if is_vector(parameters[name]) or (name in rows and is_vector(parameters[name][0]))
    ]
    if len(data) != 1 or not factors:
        return inputs
    (value,) = data
    for name in factors:
        if value.normalised and parameters[name].numel() > 1:  # one number is a temperature
            index = build.add("ln", value.feeds, param=name, source=source)
            assert index is not None
            value = Value(frozenset({index}), normed=index)
        else:
            value = _link(build, "layer_scale", name, value, source)
    return [value]


def concatenated(build: NodeBuilder, source: str, inputs: list[Value]) -> list[Value]:
    """The parts of a concatenation with data, those that are parameters as nodes."""
    if not any(value.feeds for value in inputs):
        return inputs
    return [as_data(build, source, value) for value in inputs]


def as_data(build: NodeBuilder, source: str, value: Value) -> Value:
    """A value that is used as data: parameters become nodes that nothing feeds."""
    if value.feeds or not value.params:
        return value
    indices = [build.table("token", name, source) for name in value.params]
    return Value(frozenset(index for index in indices if index is not None))


def projected(
    build: NodeBuilder, parameters: Mapping[str, nn.Parameter], source: str, inputs: list[Value]
) -> list[Value]:
    """The factors of a matrix product; with one of data and one of parameters, their product as nodes."""
    data = [value for value in inputs if value.feeds]
    weights = [value for value in inputs if not value.feeds and value.params]
    if len(data) != 1 or not weights:
        return inputs
    feeds = union(data)
    indices = []
    for value in weights:
        for name in value.params:
            shape = tuple(parameters[name].shape)
            if len(shape) < 2 or name in build.emitted:
                continue
            flipped = len(shape) == 2 and value.transposed == (inputs[0] is value)
            seen = shape[::-1] if flipped else matrix(shape)
            node_type = "rel_pos" if value.looked_up else "conv"
            index = build.add(node_type, feeds, param=name, shape=seen, source=source)
            assert index is not None
            indices.append(index)
    if not indices:
        return inputs
    return [Value(frozenset(indices), products=frozenset(indices), weighted=True, pooled=data[0].pooled)]


def positions(build: NodeBuilder, values: list[Value]) -> None:
    """Makes products with bare parameters, since they are added to attention scores, tables of positions."""
    for value in values:
        for index in value.products:
            node = build.nodes[index]
            node.type, node.part_of_other = "rel_pos", node.param is None


def _bare(inputs: list[Value]) -> list[str]:
    return list(dict.fromkeys(name for value in inputs if not value.feeds for name in value.params))


def is_vector(parameter: Tensor) -> bool:
    """Whether it has one number a channel, or one for all."""
    return parameter.numel() == max(parameter.shape, default=1)


def _link(build: NodeBuilder, node_type: str, name: str, value: Value, source: str) -> Value:
    if name in build.emitted:
        return value
    index = build.add(node_type, value.feeds, param=name, source=source)
    assert index is not None
    return dataclasses.replace(value, feeds=frozenset({index}), normed=None, attended=None, products=frozenset())
