"""Running a module's code without leaving a trace of it in the module."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import nn

_CONTAINERS = (dict, OrderedDict, list, set)


@contextlib.contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Puts every attribute of a module and of its parts back after the block, `training` and buffers included.

    Modules keep tables and shapes from one call for the next, some in dicts. Those of a trace are not real, and those
    of a measurement need not fit the next call. What is inside tensors is not restored.
    """
    saved = [
        (part, dict(part.__dict__), [(value, value.copy()) for value in part.__dict__.values() if _is_container(value)])
        for part in module.modules()
    ]
    try:
        yield
    finally:
        for part, attributes, containers in saved:
            for name in part.__dict__.keys() - attributes.keys():
                del part.__dict__[name]
            part.__dict__.update(attributes)
            for container, content in containers:
                _refill(container, content)


def _is_container(value: Any) -> bool:
    return type(value) in _CONTAINERS


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)
