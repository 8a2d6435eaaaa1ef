"""Modules that only pass their arguments on to another one: `torch.compile`'s, DataParallel, averages of weights."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
from collections.abc import Iterator

import torch
from torch import nn

from ghn_init.graph.arch import ArchGraph, Node

#: Attributes in which wrappers keep the network that they call.
_INNER = ("_orig_mod", "module")
_ANY = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def unwrapped(module: nn.Module) -> tuple[nn.Module, str]:
    """The network that a module passes all of its arguments on to, and what its parameters' names begin with there.

    A wrapper has a network under one of the usual names, no parameters of its own, and a forward that takes anything.
    Any other module is returned as it is, with an empty prefix.
    """
    prefix = ""
    while (found := _inner(module)) is not None:
        name, module = found
        prefix += f"{name}."
    return module, prefix


def forward_signature(module: nn.Module) -> inspect.Signature:
    """What the module's forward takes; behind wrappers, that of the network within."""
    return inspect.signature(unwrapped(module)[0].forward)


def prefixed(graph: ArchGraph, prefix: str) -> ArchGraph:
    """The graph of the wrapper, whose parameters have longer names."""
    if not prefix:
        return graph

    def node(old: Node) -> Node:
        param, rider = (None if name is None else prefix + name for name in (old.param, old.rider))
        return dataclasses.replace(old, param=param, rider=rider)

    return dataclasses.replace(
        graph,
        nodes=tuple(map(node, graph.nodes)),
        left_out={prefix + name: reason for name, reason in graph.left_out.items()},
        aliases={prefix + name: prefix + first for name, first in graph.aliases.items()},
        scale_free=frozenset(prefix + name for name in graph.scale_free),
    )


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Lets compiled modules run as they are written: hooks see their layers, and a few batches compile nothing."""
    if "torch._dynamo" not in sys.modules:  # nothing can be compiled yet, and the import takes long
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _inner(module: nn.Module) -> tuple[str, nn.Module] | None:
    children = dict(module.named_children())
    if len(children) != 1 or any(True for _ in module.parameters(recurse=False)):
        return None
    ((name, child),) = children.items()
    kinds = {parameter.kind for parameter in inspect.signature(module.forward).parameters.values()}
    return (name, child) if name in _INNER and kinds == _ANY else None
