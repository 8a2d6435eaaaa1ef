"""Modules on the meta device, made by copying: a layer's own constructor takes ten times as long."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def on_meta() -> bool:
    """Whether new tensors are on the meta device."""
    return torch.empty(0).is_meta


def fresh(module: nn.Module) -> nn.Module:
    """A copy of a module without values: nothing of it is shared with the original but plain attributes.

    Args:
        module: one with parameters on the meta device that all require gradients, and without buffers.
    """
    state: dict[str, Any] = vars(module).copy()
    for name, value in state.items():
        if isinstance(value, dict):
            state[name] = value.copy() if value else type(value)()  # most are empty: a copy takes five times as long
    parameters = state["_parameters"]
    for name, parameter in parameters.items():
        if parameter is not None:
            parameters[name] = nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"))
    children = state["_modules"]
    for name, child in children.items():
        if child is not None:
            children[name] = fresh(child)
    copy = object.__new__(type(module))
    vars(copy).update(state)
    return copy
