"""Networks built without memory for their parameters, and then again with values for some of them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterator

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from ghn_init.errors import PredictionError

logger = logging.getLogger(__name__)

#: Parameters up to which a network is built whole for the sake of some values: 512 MiB in float32.
WHOLE = 2**27

# What constructors raise that compute with values which are not there (`numpy` of a meta tensor: a TypeError).
_NEEDS_VALUES = (RuntimeError, TypeError, ValueError)

Build = Callable[[], nn.Module]


class Blueprint:
    """How to build a network, and all that is known of it without memory for its parameters.

    Args:
        build: makes the network: every time the same parameters in the same order.

    Attributes:
        skeleton: the network on the meta device; with memory if its constructor needs the values of its parameters.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        for how in (_on_meta, _parameters_on_meta):
            self._registered = _Registrations()
            try:
                self.skeleton = how(build, self._registered)
                break
            except _NEEDS_VALUES as error:
                logger.debug("%s: %s", how.__name__, error)
        else:
            self._registered = _Registrations()
            self.skeleton = build()
        self._size = sum(parameter.numel() for parameter in self.skeleton.parameters())
        self._places = self._registered.places(self.skeleton)

    def with_values(self, names: Collection[str]) -> nn.Module:
        """Builds the network again, with its own initial values for some parameters and for all buffers.

        A network of up to `WHOLE` parameters gets all its values: those that `build` gives it. Of a larger one, the
        other parameters stay on the meta device. Random values are then of the same distribution, and the same for
        the same seed of torch, but not the numbers that `build` draws, which come after those of other parameters.

        Args:
            names: parameters, by any of their names.

        Raises:
            PredictionError: the values of one of them depend on other parameters' values, or the network is not built
                the same way each time.
        """
        if not names and self.skeleton.state_dict().keys() <= self._places.keys():
            return self.skeleton
        if self._size <= WHOLE or not any(parameter.is_meta for parameter in self.skeleton.parameters()):
            return self._build()
        registered = _Registrations({place for name in names for place in self._places[name]})
        with registered.recording(meta=True):
            module = self._build()
        if registered.shapes != self._registered.shapes:
            raise PredictionError(f"{type(module).__name__} is not built with the same parameters each time")
        missing = [name for name, tensor in module.state_dict().items() if tensor.is_meta and name in set(names)]
        missing += [name for name, buffer in module.named_buffers() if buffer.is_meta]
        if missing:
            raise PredictionError(
                f"{type(module).__name__} computes the initial values of {', '.join(missing[:3])} from those of "
                "predicted parameters, and is too large to be built whole: build it yourself, then call "
                "ghn_init.predict(model).save(...)"
            )
        return module


def _on_meta(build: Build, registered: _Registrations) -> nn.Module:
    with registered.recording(meta=False), torch.device("meta"):
        return build()


def _parameters_on_meta(build: Build, registered: _Registrations) -> nn.Module:
    """For constructors that compute with the values of other tensors than parameters."""
    with registered.recording(meta=True):
        return build().to("meta")


class _Registrations:
    """The order in which a network's parameters are registered.

    Args:
        real: the places in this order that are to stay real where others lose their memory.
    """

    def __init__(self, real: Collection[int] = ()) -> None:
        self.shapes: list[tuple[str, tuple[int, ...]]] = []
        self._parameters: list[nn.Parameter] = []  # kept alive, so that their ids are unique
        self._real = frozenset(real)

    @contextlib.contextmanager
    def recording(self, *, meta: bool) -> Iterator[None]:
        """Notes parameters as this thread registers them; with `meta`, their memory is given up there and then."""
        thread, kept = threading.get_ident(), set[int]()

        def register(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
            if threading.get_ident() != thread or is_lazy(parameter):
                return None
            place = len(self.shapes)
            self.shapes.append((name, tuple(parameter.shape)))
            if place in self._real:
                kept.add(id(parameter))
            if meta and not parameter.is_meta and id(parameter) not in kept:
                parameter = _without_memory(parameter)
            self._parameters.append(parameter)
            return parameter

        handle = register_module_parameter_registration_hook(register)  # type: ignore[arg-type]
        try:
            yield
        finally:
            handle.remove()

    def places(self, module: nn.Module) -> dict[str, set[int]]:
        """For each parameter of the finished network, by all its names, where in the order its values come from.

        A parameter that was never registered is a copy (`copy.deepcopy` of a layer), of one with the same shape.
        """
        places: dict[int, set[int]] = {}
        by_shape: dict[tuple[int, ...], set[int]] = {}
        for place, parameter in enumerate(self._parameters):
            places.setdefault(id(parameter), set()).add(place)
            by_shape.setdefault(tuple(parameter.shape), set()).add(place)
        return {
            name: places.get(id(parameter), by_shape.get(tuple(parameter.shape), set()))
            for name, parameter in module.named_parameters(remove_duplicate=False)
        }


def _without_memory(parameter: nn.Parameter) -> nn.Parameter:
    made = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    made.__dict__.update(parameter.__dict__)
    return made
