"""Canonical names of operations, however a network spells them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn import functional

#: Spellings whose name alone does not tell the operation.
_SYNONYMS = {
    "iadd": "add",
    "radd": "add",
    "imul": "mul",
    "rmul": "mul",
    "multiply": "mul",
    "truediv": "div",
    "itruediv": "div",
    "rtruediv": "div",
    "rmatmul": "matmul",
    "bmm": "matmul",
    "concat": "cat",
    "concatenate": "cat",
    "max_pool2d_with_indices": "max_pool2d",
}
_OWN_MODULES = frozenset(
    {"torch", "_operator", "builtins", "math", "torch.nn.functional", "torch._C._nn", "torch.functional"}
)
_DISPATCHED: dict[Callable[..., Any], str] = {
    functional.max_pool1d: "max_pool1d",
    functional.max_pool2d: "max_pool2d",
    functional.max_pool3d: "max_pool3d",
    functional.adaptive_max_pool2d: "adaptive_max_pool2d",
}


def name_of(function: Callable[..., Any]) -> str | Callable[..., Any]:
    """The canonical name of a torch operation; any other function stands for itself."""
    dispatched = _DISPATCHED.get(function)
    if dispatched is not None:
        return dispatched
    name = getattr(function, "__name__", "")
    module = getattr(function, "__module__", None)
    if module in _OWN_MODULES or module is None or isinstance(function, _DESCRIPTORS):
        return canonical(name)
    return function


_DESCRIPTORS = (type(torch.Tensor.add), type(operator.add))


def canonical(name: str) -> str:
    """A name without in-place and operator spellings: "add_", "__iadd__" and "radd" are "add"."""
    bare = name.strip("_")
    return _SYNONYMS.get(bare, bare)


def op_of(node: fx.Node) -> str | Callable[..., Any]:
    """The canonical operation of a call_function or call_method node."""
    if node.op == "call_method":
        return canonical(str(node.target))
    assert callable(node.target)
    return name_of(node.target)


_CHANGEABLE = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
#: Python's own operations in place, as methods.
_IN_PLACE = frozenset({"__setitem__", *(f"__i{name}__" for name in _CHANGEABLE)})


def writes_in_place(target: Any) -> bool:
    """Whether an operation, or a method by its name, changes its first argument, as `add_` and `+=` do."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    return name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
