"""The tensors inside whatever a module takes or returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists, mappings and dataclasses, in order.

    Unlike torch's pytrees it looks into output classes that their library has not registered.
    """
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from tensors_in(value)
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors_in(value)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from tensors_in(getattr(tree, field.name))


def float_tensors(tree: Any) -> Iterator[Tensor]:
    """Those of `tensors_in` whose dtype is a floating-point one."""
    return (tensor for tensor in tensors_in(tree) if tensor.is_floating_point())
