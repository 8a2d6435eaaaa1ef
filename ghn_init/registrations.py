"""Watching a network being built, and keeping its parameters from taking memory."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Registrations:
    """The order in which a network's parameters are registered.

    Attributes:
        shapes: attribute name and shape of each, in order.
        places: for each parameter of the finished network, by all its names, where in the order its values come from.
    """

    def __init__(self) -> None:
        self.shapes: list[tuple[str, tuple[int, ...]]] = []
        self.places: dict[str, set[int]] = {}
        self._parameters: list[nn.Parameter] = []  # kept alive, so that their ids are unique

    @contextlib.contextmanager
    def recording(self, *, real: Collection[int] | None, fake: bool = False) -> Iterator[None]:
        """Notes parameters as this thread registers them.

        Args:
            real: the places in the order that keep their memory, while all others lose it there and then. None for
                leaving all as they are.
            fake: make these others fake tensors, which say that they are where they were, rather than meta tensors,
                with which fewer operations fail.
        """
        thread, kept, mode = threading.get_ident(), set[int](), FakeTensorMode(allow_non_fake_inputs=True)

        def register(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
            if threading.get_ident() != thread or is_lazy(parameter):
                return None
            place = len(self.shapes)
            self.shapes.append((name, tuple(parameter.shape)))
            if real is not None and place in real:
                kept.add(id(parameter))
            lost = parameter.is_meta or isinstance(parameter, FakeTensor)
            if real is not None and not lost and id(parameter) not in kept:
                attributes = dict(parameter.__dict__)
                with mode if fake else contextlib.nullcontext():
                    empty = torch.empty_like(parameter, device=parameter.device if fake else "meta")
                    parameter = nn.Parameter(empty, parameter.requires_grad)
                parameter.__dict__.update(attributes)
            self._parameters.append(parameter)
            return parameter

        handle = register_module_parameter_registration_hook(register)  # type: ignore[arg-type]
        try:
            with _fakes() if fake else contextlib.nullcontext():
                yield
        finally:
            handle.remove()

    def settle(self, module: nn.Module) -> None:
        """Finds the `places`, and puts what has no memory on the meta device.

        A parameter that was never registered is a copy (`copy.deepcopy` of a layer), of one with the same shape.
        """
        by_id: dict[int, set[int]] = {}
        by_shape: dict[tuple[int, ...], set[int]] = {}
        for place, parameter in enumerate(self._parameters):
            by_id.setdefault(id(parameter), set()).add(place)
            by_shape.setdefault(tuple(parameter.shape), set()).add(place)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            same = by_shape.get(tuple(parameter.shape), set())
            self.places[name] = by_id.get(id(parameter), same)
        made: dict[int, Any] = {}
        for part in module.modules():
            for tensors in (part._parameters, part._buffers):
                for name, tensor in tensors.items():
                    if isinstance(tensor, FakeTensor):
                        tensors[name] = made.setdefault(id(tensor), _on_meta(tensor, tensors is part._parameters))


@contextlib.contextmanager
def _fakes() -> Iterator[None]:
    with warnings.catch_warnings(), _NoValueFromFakes():  # type: ignore[no-untyped-call]
        # torch's own deepcopy asks for it
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        yield


class _NoValueFromFakes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses to write what has no values into what has, which fake tensors silently leave out."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable and any(isinstance(leaf, FakeTensor) for leaf in tree_leaves((args, kwargs))):
            given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
            for argument in func._schema.arguments:
                written = argument.alias_info is not None and argument.alias_info.is_write
                for leaf in tree_leaves(given.get(argument.name)) if written else ():
                    if isinstance(leaf, Tensor) and not isinstance(leaf, FakeTensor):
                        raise RuntimeError(f"{func} would write the values of a parameter into another tensor")
        return func(*args, **kwargs)


def _on_meta(tensor: FakeTensor, parameter: bool) -> Tensor:
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if not parameter:
        return empty
    with tensor.fake_mode:
        internal = nn.Parameter(torch.empty(0)).__dict__
    made = nn.Parameter(empty, tensor.requires_grad)
    made.__dict__.update({name: value for name, value in tensor.__dict__.items() if name not in internal})
    return made
