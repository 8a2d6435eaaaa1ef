"""Graphs that were traced before, found again by the structure of the module."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

from torch import nn

from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.fingerprint import Fingerprint, fingerprint

#: Graphs to keep, and pairs of nodes that these may have in all (two bytes each, once their paths are known).
MOST_GRAPHS = 64
MOST_PAIRS = 2**27


class CacheInfo(NamedTuple):
    """How often a graph was found again, how often it had to be traced, and how many are kept.

    Modules without a certain key (see `ghn_init.graph.fingerprint`) count among the misses and are not kept.
    """

    hits: int
    misses: int
    entries: int


class GraphCache:
    """The graphs used last, for any number of threads."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[Fingerprint, ArchGraph] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def get(self, key: Fingerprint | None) -> ArchGraph | None:
        """The graph kept for a key; None if there is none."""
        with self._lock:
            graph = None if key is None else self._graphs.get(key)
            if key is None or graph is None:
                self._misses += 1
                return None
            self._graphs.move_to_end(key)
            self._hits += 1
            return graph

    def put(self, key: Fingerprint, graph: ArchGraph) -> None:
        """Keeps a graph, at the cost of those that were not used for longest."""
        with self._lock:
            self._graphs[key] = graph
            self._graphs.move_to_end(key)
            pairs = sum(len(kept) ** 2 for kept in self._graphs.values())
            while self._graphs and (len(self._graphs) > MOST_GRAPHS or pairs > MOST_PAIRS):
                _, dropped = self._graphs.popitem(last=False)
                pairs -= len(dropped) ** 2

    def clear(self) -> None:
        """Forgets all graphs and counts."""
        with self._lock:
            self._graphs.clear()
            self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        """Counts since the start, or since `clear`."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._graphs))


_CACHE = GraphCache()


def cache_clear() -> None:
    """Forgets all traced graphs, for what no key can show: code that reads variables of its Python module."""
    _CACHE.clear()


def cache_info() -> CacheInfo:
    """How often `trace` found a graph that it had traced before."""
    return _CACHE.info()


class _Trace(Protocol):
    def __call__(self, module: nn.Module, *, example_inputs: Any = None) -> ArchGraph: ...


def by_structure(trace: _Trace) -> _Trace:
    """Lets a function that traces modules return the graph of an earlier call for a module of the same structure."""

    @functools.wraps(trace)
    def cached(module: nn.Module, *, example_inputs: Any = None) -> ArchGraph:
        key = fingerprint(module, example_inputs)
        graph = _CACHE.get(key)
        if graph is None:
            graph = trace(module, example_inputs=example_inputs)
            if key is not None:
                _CACHE.put(key, graph)
        return graph

    return cached
