"""Tracing with shapes: a run on tensors without memory, for modules whose own code asks for shapes.

Tensors on the meta device have shapes and dtypes and no memory, so nothing is computed. Where the module's code needs
more (the value of a constant, a device), torch's fake tensors, ten times slower, give it.
The calls of layers and functions are recorded into the same kind of `torch.fx` graph that symbolic tracing gives.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from ghn_init.errors import TraceError
from ghn_init.graph.inputs import candidate_inputs
from ghn_init.graph.leaves import is_leaf
from ghn_init.graph.meta import MetaTwins, run
from ghn_init.graph.ops import writes_in_place
from ghn_init.graph.values import WithoutValues
from ghn_init.tensors import tensors_in

logger = logging.getLogger(__name__)


#: Stands for a tensor that comes from neither the inputs nor the parameters.
ELSEWHERE = "a tensor from elsewhere"


class Recorder(TorchFunctionMode):
    """Records the functions called and, with `recording_modules`, the leaf modules, as nodes of a `torch.fx` graph.

    Args:
        root: the module to be run.
        twins: what to run functions on instead of tensors with memory; None to run them on what they are given.
    """

    def __init__(self, root: nn.Module, twins: MetaTwins | None = None) -> None:
        super().__init__()
        self._twins = twins
        self._leaves: dict[int, bool] = {}
        self._in_leaf = False
        self.graph = fx.Graph()
        self.path: list[str] = []
        self._module_paths = {id(module): path for path, module in root.named_modules()}
        self._parameter_names = {id(parameter): name for name, parameter in root.named_parameters()}
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Any] = []  # ids are only unique among living objects

    def placeholder(self, name: str, tensors: Any) -> None:
        """An input of the network."""
        self._bind(tensors, self.graph.placeholder(name))

    def output(self, tensors: Any) -> None:
        """The network's outputs."""
        flat = [self._nodes[id(tensor)] for tensor in tensors_in(tensors) if id(tensor) in self._nodes]
        self.graph.output(tuple(dict.fromkeys(flat)))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs `func` and records it where it makes tensors of tensors that are known."""
        kwargs = kwargs or {}
        twins = self._twins
        result = func(*args, **kwargs) if twins is None else run(func, twins.of(args), twins.of(kwargs))
        if self._in_leaf:
            return result
        if next(tensors_in(result), None) is not None:
            self._record("call_function", func, args, kwargs, result)
        elif args and writes_in_place(func):
            self._record("call_function", func, args, kwargs, args[0])
        return result

    def call_module(self, module: nn.Module, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a module, recording it as one node where it is a leaf."""
        path = self._module_paths.get(id(module))
        if path is None:
            return call(module, *args, **kwargs)
        self.path.append(path)
        leaf = self._leaves.get(id(module))
        if leaf is None:
            leaf = self._leaves[id(module)] = is_leaf(module)
        if leaf and not self._in_leaf:
            self._in_leaf = True
            try:
                result = call(module, *args, **kwargs)
            finally:
                self._in_leaf = False
            self._record("call_module", path, args, kwargs, result)
        else:
            result = call(module, *args, **kwargs)
        self.path.pop()
        return result

    def _record(self, kind: str, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        known = kind == "call_module"

        def to_node(tree: Any) -> Any:
            nonlocal known
            if isinstance(tree, torch.Tensor):
                node = self._nodes.get(id(tree)) or self._parameter(tree)
                known |= node is not None
                return node or ELSEWHERE
            if isinstance(tree, dict):
                return {key: to_node(value) for key, value in tree.items()}
            if isinstance(tree, (tuple, list)):
                return [to_node(value) for value in tree]
            return tree if isinstance(tree, (int, float, str, slice, EllipsisType)) else None

        fx_args, fx_kwargs = to_node(args), to_node(kwargs)
        if known:
            node = self.graph.create_node(kind, target, tuple(fx_args), dict(fx_kwargs))
            self._bind(result, node)
            if isinstance(result, (tuple, list)) and len(result) > 1:
                for place, part in enumerate(result):
                    self._bind(part, self.graph.call_function(operator.getitem, (node, place)))

    def _parameter(self, tensor: torch.Tensor) -> fx.Node | None:
        name = self._parameter_names.get(id(tensor))
        if name is None:
            return None
        node = self.graph.create_node("get_attr", name)
        self._bind(tensor, node)
        return node

    def _bind(self, tensors: Any, node: fx.Node) -> None:
        for tensor in tensors_in(tensors):
            self._nodes[id(tensor)] = node
            self._alive.append(tensor)
            base = tensor._base
            if base is not None and writes_in_place(node.target):
                self._nodes[id(base)] = node


def trace_with_shapes(module: nn.Module, example_inputs: Any = None) -> fx.Graph:
    """The graph of a run of `module` on fake tensors of the first shapes that it accepts.

    Args:
        module: any module; its parameters, buffers and attributes stay as they are.
        example_inputs: a tensor, or a tuple or dict of arguments, of which shapes and dtypes matter.

    Raises:
        TraceError: no shapes were accepted, or the module's code needs values; it names the module and the line.
    """
    failures: list[TraceError] = []
    for arguments in candidate_inputs(module, example_inputs):
        try:
            return _run(module, arguments)
        except TraceError as error:
            logger.debug("%s", error)
            failures.append(error)
    if failures:
        raise failures[0]
    raise TraceError(
        f"{type(module).__name__}: cannot tell which inputs it takes; "
        "pass example_inputs= (a tensor, or a tuple or dict of arguments)"
    )


def _run(module: nn.Module, arguments: dict[str, Any]) -> fx.Graph:
    try:
        return _recorded(module, arguments, Recorder(module, MetaTwins()), torch.device("meta"))
    except Exception as error:  # noqa: BLE001  (the module's own code may raise anything)
        logger.debug("no trace of %s on the meta device: %s", type(module).__name__, error)
    recorder = Recorder(module)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), WithoutValues(), _device_of(module) as device, _quiet():
            return _recorded(module, arguments, recorder, device)
    except Exception as error:
        shapes = ", ".join(f"{name}: {_describe(value)}" for name, value in arguments.items())
        where = recorder.path[-1] if recorder.path else "(top)"
        what = next(iter(str(error).splitlines()), "")
        raise TraceError(
            f"cannot trace {type(module).__name__} on {shapes}: module {where!r}, {_line(error)}: "
            f"{type(error).__name__}: {what}"
        ) from error


def _recorded(module: nn.Module, arguments: dict[str, Any], recorder: Recorder, device: torch.device) -> fx.Graph:
    tensors = {name: _without_values(value, device) for name, value in arguments.items()}
    for name, value in tensors.items():
        recorder.placeholder(name, value)
    with _patched_calls(recorder), recorder:
        outputs = module(**tensors)
    recorder.output(outputs)
    return recorder.graph


def _without_values(value: Any, device: torch.device) -> Any:
    def on_device(leaf: Any) -> Any:
        return torch.empty(leaf.shape, dtype=leaf.dtype, device=device) if isinstance(leaf, torch.Tensor) else leaf

    return tree_map(on_device, value)


def _describe(value: Any) -> str:
    return f"{tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__


def _line(error: Exception) -> str:
    """The innermost line outside torch where the error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    torch_folder = str(Path(torch.__file__).parent)
    own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith(torch_folder)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


@contextlib.contextmanager
def _device_of(module: nn.Module) -> Iterator[torch.device]:
    """The device of the module's tensors, which becomes that of the tensors that its code makes."""
    tensor = next((t for tensors in (module.parameters(), module.buffers()) for t in tensors), None)
    device = tensor.device if tensor is not None else torch.device("cpu")
    with device:
        yield device


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own log of failed trials: they are expected, and what remains of them is in the error."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = disabled


@contextlib.contextmanager
def _patched_calls(recorder: Recorder) -> Iterator[None]:
    original = nn.Module.__call__

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.call_module(module, original, args, kwargs)

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]
