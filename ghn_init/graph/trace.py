"""`trace`: the graph of any module."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from ghn_init.errors import TraceError
from ghn_init.graph.abstract import Abstraction
from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.cache import by_structure
from ghn_init.graph.caches import caches_kept
from ghn_init.graph.reduce import reduce
from ghn_init.graph.scale import scale_free
from ghn_init.graph.shapes import trace_with_shapes
from ghn_init.graph.symbolic import SymbolicTracer
from ghn_init.graph.wrappers import prefixed, uncompiled, unwrapped
from ghn_init.keeping import attributes_kept

logger = logging.getLogger(__name__)

# torch.fx patches nn.Module while it traces
_LOCK = threading.RLock()


@by_structure
def trace(module: nn.Module, *, example_inputs: Any = None) -> ArchGraph:
    """The graph of node types of a module: for one of the same structure as an earlier one, that one's graph itself.

    Tries a symbolic trace first, which needs no input and computes nothing. Where the module's own code asks for
    shapes, a second trace runs it on tensors that have shapes but no memory. Neither touches the module's
    parameters, buffers or training mode; a module on the meta device traces as well. The trace is that of evaluation
    mode, or of training mode where that uses more of the parameters (auxiliary heads).

    Args:
        module: any module.
        example_inputs: a tensor, or a tuple or dict of the arguments of `module.forward`, of which only shapes and
            dtypes matter. By default the shapes are those that the zoo states for the model or, failing that, found by
            trial.

    Raises:
        TraceError: the module could not be traced; it names the module and the line where.
    """
    module, prefix = unwrapped(module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    lazy = [name for name, parameter in parameters.items() if is_lazy(parameter)]
    if lazy:
        raise TraceError(f"{lazy[0]} of {type(module).__name__} has no shape yet (a lazy layer): call the module once")
    with _LOCK, _without_fast_paths(), uncompiled(), caches_kept(module):
        graph = _trace_in_mode(module, parameters, False, example_inputs)
        if _UNUSED in graph.left_out.values():
            in_training = _in_training(module, parameters, example_inputs)
            if in_training is not None and len(in_training.left_out) < len(graph.left_out):
                graph = in_training
    return prefixed(graph, prefix)


def _in_training(module: nn.Module, parameters: Mapping[str, nn.Parameter], example_inputs: Any) -> ArchGraph | None:
    try:
        return _trace_in_mode(module, parameters, True, example_inputs)
    except TraceError as error:
        logger.debug("no trace in training mode: %s", error)
        return None


def _trace_in_mode(
    module: nn.Module, parameters: Mapping[str, nn.Parameter], training: bool, example_inputs: Any
) -> ArchGraph:
    with _mode(module, training):
        traced, how = _trace(module, example_inputs)
    return abstract(module, traced, parameters, how)


def _trace(module: nn.Module, example_inputs: Any) -> tuple[fx.Graph, str]:
    tracer = SymbolicTracer()
    try:
        return tracer.trace(module), "symbolic"
    except Exception as error:  # noqa: BLE001  (the module's own code may raise anything on a proxy)
        where = tracer.path[-1] if tracer.path else type(module).__name__
        logger.debug("symbolic trace of %s stopped in %s: %s", type(module).__name__, where, error)
    return trace_with_shapes(module, example_inputs), "shapes"


def abstract(module: nn.Module, traced: fx.Graph, parameters: Mapping[str, nn.Parameter], how: str) -> ArchGraph:
    """The graph of node types behind a trace of `module`."""
    abstraction = Abstraction(module, traced, parameters)
    nodes, edges = reduce(abstraction.nodes, abstraction.outputs, parameters)
    first = {id(parameter): name for name, parameter in reversed(list(parameters.items()))}
    aliases = {name: first[id(p)] for name, p in parameters.items() if first[id(p)] != name}
    covered = {name for node in nodes for name in (node.param, node.rider)}
    left_out = {
        name: _reason(abstraction.seen.get(name)) for name in parameters if name not in covered and name not in aliases
    }
    free = scale_free(module, traced, parameters)
    return ArchGraph(nodes, edges, left_out, abstraction.not_understood, how, aliases, free)


_UNUSED = "no operation uses it"
_REASONS = {
    None: _UNUSED,
    "read": "no rule covers how it is used",
    "predicted": "no output depends on it",
}


def _reason(seen: str | None) -> str:
    return _REASONS.get(seen) or f"no rule covers {seen}"


@contextlib.contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Sets every `training` flag directly, since `train()` may be overridden to do more; puts all attributes back."""
    with attributes_kept(module):
        for part in module.modules():
            part.training = training
        yield


@contextlib.contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Fused transformer layers hide the attention inside: see them as they are written."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
