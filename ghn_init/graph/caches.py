"""Caches in a model's own code, in which a trace must not leave tensors without values."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

#: Wrappers around a cached function that are looked into.
_DEPTH = 3


@contextlib.contextmanager
def caches_kept(module: nn.Module) -> Iterator[None]:
    """Empties, after the block, each `functools.lru_cache` of the module's code that the block put something into.

    Such a cache may hold a table of indices, say. Once made on tensors without values, it would be served to the
    module's own forward passes.
    """
    before = {id(cache): (cache, cache.cache_info().misses) for cache in _caches(module)}
    try:
        yield
    finally:
        for cache, misses in before.values():
            if cache.cache_info().misses != misses:
                cache.cache_clear()


def _caches(module: nn.Module) -> Iterator[functools._lru_cache_wrapper[Any]]:
    classes = {base for part in module.modules() for base in type(part).__mro__}
    homes = {base.__module__ for base in classes} & sys.modules.keys()
    namespaces: list[Mapping[str, Any]] = [*map(vars, classes), *(vars(sys.modules[name]) for name in homes)]
    for namespace in namespaces:
        for value in list(namespace.values()):
            yield from _caches_of(value, _DEPTH)


def _caches_of(value: Any, depth: int) -> Iterator[functools._lru_cache_wrapper[Any]]:
    """The caches behind a function, a static method or a class method, and in what it closes over."""
    function = getattr(value, "__func__", value) if isinstance(value, (staticmethod, classmethod)) else value
    if isinstance(function, functools._lru_cache_wrapper):
        yield function
    elif depth and inspect.isfunction(function):
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # a cell that is still empty
                yield from _caches_of(cell.cell_contents, depth - 1)
