"""Modules on the meta device, made after a template: a layer's own constructor takes many times as long."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def on_meta() -> bool:
    """Whether new tensors are on the meta device."""
    return torch.empty(0).is_meta


class Template:
    """What modules on the meta device are made after.

    Args:
        module: one on the meta device whose parameters are all of the default dtype and require gradients, without
            buffers.
    """

    def __init__(self, module: nn.Module) -> None:
        state = dict(vars(module))
        self._class = type(module)
        self._shapes = {name: None if p is None else tuple(p.shape) for name, p in state.pop("_parameters").items()}
        self._children = {name: None if c is None else Template(c) for name, c in state.pop("_modules").items()}
        self._dicts = [(name, value, type(value)) for name, value in state.items() if isinstance(value, dict)]
        self._plain: dict[str, Any] = {name: value for name, value in state.items() if not isinstance(value, dict)}

    def make(self) -> nn.Module:
        """A new module, which shares nothing with others but plain attributes."""
        state = self._plain.copy()
        for name, value, kind in self._dicts:
            state[name] = value.copy() if value else kind()  # most are empty: a copy takes five times as long
        state["_parameters"] = {
            name: None if shape is None else nn.Parameter(torch.empty(shape, device="meta"))
            for name, shape in self._shapes.items()
        }
        state["_modules"] = {name: None if child is None else child.make() for name, child in self._children.items()}
        module = object.__new__(self._class)
        vars(module).update(state)
        return module
