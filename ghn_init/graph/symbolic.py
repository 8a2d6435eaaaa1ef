"""Symbolic tracing: a network's operations without any data, shapes unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.fx.proxy import ParameterProxy

from ghn_init.graph.leaves import is_leaf, untraceable_functions, untraceable_modules
from ghn_init.graph.proxies import UnpackingProxy
from ghn_init.graph.wrappers import forward_signature

_PLAIN = (fx.Proxy, int, float, bool, str, type(None))


class OpaqueModuleError(RuntimeError):
    """A module that may not be traced symbolically holds parameters that no rule covers."""


class SymbolicTracer(fx.Tracer):
    """A `torch.fx` tracer whose leaves are the layers that have rules.

    It differs from its parent where networks are large (parameters and buffers are found by identity, not by a search
    through all names; no call stack is kept for each node; code is not taken apart anew for each unpacking) and where
    users would trip: arguments with defaults keep them, a parameter's shape is known, and the module gets no attributes
    for the tensors that its code makes.
    """

    def __init__(self) -> None:
        super().__init__(autowrap_functions=untraceable_functions())
        self._untraceable = untraceable_modules()
        self._module_paths: dict[int, str] = {}
        self._parameter_names: dict[int, str] = {}
        self._buffer_names: dict[int, str] = {}
        self._leaf: dict[int, bool] = {}
        #: Paths of the modules being traced, outermost first: after an error, where it happened.
        self.path: list[str] = []

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of `root`: see `torch.fx.Tracer.trace`."""
        assert isinstance(root, nn.Module)
        self._module_paths = {id(module): path for path, module in root.named_modules()}
        self._parameter_names = {id(parameter): name for name, parameter in root.named_parameters()}
        self._buffer_names = {id(buffer): name for name, buffer in root.named_buffers()}
        self.path = []
        return super().trace(root, concrete_args)

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Callable[..., Any], list[Any]]:
        """One placeholder for each argument without a default, or for the first argument where all have one."""
        required = required_arguments(self.root)
        return root_fn, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in required)]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether the module has a rule, is torch's own, or is one that the zoo keeps out of traces."""
        return is_leaf(m) or isinstance(m, self._untraceable)

    def path_of_module(self, mod: nn.Module) -> str:
        """The module's first qualified name."""
        return self._module_paths[id(mod)]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A node for a leaf; otherwise the nodes of what the module does."""
        path = self._module_paths.get(id(m))
        if path is None:
            return forward(*args, **kwargs)
        leaf = self._leaf.get(id(m))
        if leaf is None:
            leaf = self._leaf[id(m)] = self.is_leaf_module(m, path)
            if leaf and not is_leaf(m) and any(True for _ in m.parameters()):
                raise OpaqueModuleError(f"{path} ({type(m).__name__}) is marked as untraceable and no rule covers it")
        if leaf:
            return self.create_proxy("call_module", path, args, kwargs)
        self.path.append(path)
        result = forward(*args, **kwargs)
        self.path.pop()
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A parameter read by a traced module becomes a node; all else is itself."""
        if isinstance(attr_val, nn.Parameter):
            name = self._parameter_names.get(id(attr_val))
            if name is not None:
                proxy = parameter_proxy_cache.get(name)
                if proxy is None:
                    proxy = parameter_proxy_cache[name] = self.create_proxy(
                        "get_attr",
                        name,
                        (),
                        {},
                        proxy_factory_fn=lambda node: ParameterProxy(self, node, name, attr_val),
                    )
                return proxy
        return attr_val

    def create_arg(self, a: Any) -> Any:
        """Arguments as `torch.fx` wants them, the common kinds without its long search."""
        if isinstance(a, _PLAIN):
            return a.node if isinstance(a, fx.Proxy) else a
        if isinstance(a, nn.Parameter):
            name = self._parameter_names.get(id(a))
            if name is not None:
                return self.create_node("get_attr", name, (), {})
        elif isinstance(a, torch.Tensor):
            name = self._buffer_names.get(id(a)) or self.tensor_attrs.get(a)
            if name is None:
                name = self.tensor_attrs[a] = f"_tensor_constant{len(self.tensor_attrs)}"
            return self.create_node("get_attr", name, (), {})
        if type(a) in (tuple, list) and all(isinstance(item, _PLAIN) for item in a):
            return type(a)(item.node if isinstance(item, fx.Proxy) else item for item in a)
        return super().create_arg(a)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for the value of a node."""
        return UnpackingProxy(node, self)

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any | None = None
    ) -> fx.Node:
        """A node without the bookkeeping of scopes and stacks that code generation would need."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)


def required_arguments(module: nn.Module) -> list[str]:
    """Names of the arguments of `module.forward` that have no default, or its first where all have one."""
    positional = [
        parameter
        for parameter in forward_signature(module).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = [parameter.name for parameter in positional if parameter.default is parameter.empty]
    if required or not positional:
        return required or ["input"]
    return [positional[0].name]
