"""The tensors inside whatever a module returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def float_tensors(tree: Any) -> Iterator[Tensor]:
    """The floating-point tensors of nested tuples, lists, dicts and dataclasses, in order."""
    if isinstance(tree, Tensor):
        if tree.is_floating_point():
            yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from float_tensors(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from float_tensors(value)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from float_tensors(getattr(tree, field.name))
