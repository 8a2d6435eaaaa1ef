"""Networks built without memory for their parameters, and then again with values for some of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager

import torch
from torch import nn

from ghn_init.errors import PredictionError
from ghn_init.registrations import Registrations

logger = logging.getLogger(__name__)

#: Parameters up to which a network is built whole for the sake of some values: 512 MiB in float32.
WHOLE = 2**27
#: The same for one that can only be built whole.
WHOLE_IF_NEED_BE = 2**28

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
        for how in (_on_meta, _parameters_on_meta, _parameters_as_fakes):
            self._registered = Registrations()
            try:
                with how(self._registered):
                    module = build()
            except _NEEDS_VALUES as error:
                logger.debug("%s: %s", how.__name__, error)
                continue
            self._registered.settle(module)
            self.skeleton = module.to("meta")
            break
        else:
            self.skeleton = build()
        self._size = sum(parameter.numel() for parameter in self.skeleton.parameters())

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
        parameters = dict(self.skeleton.named_parameters(remove_duplicate=False))
        if not names and self.skeleton.state_dict().keys() <= parameters.keys():
            return self.skeleton
        if self._size <= WHOLE or not any(parameter.is_meta for parameter in parameters.values()):
            return self._build()
        problems = []
        for fake in (False, True):
            try:
                return self._some(names, fake)
            except _NEEDS_VALUES as error:
                problems.append(str(error))
                logger.debug("%s", error)
        if self._size <= WHOLE_IF_NEED_BE:
            return self._build()
        raise PredictionError(
            f"{type(self.skeleton).__name__} is too large to be built whole, and it cannot be built without values of "
            f"predicted parameters: {'; '.join(problems)}. Build it yourself, then call "
            "ghn_init.predict(model).save(...)"
        )

    def _some(self, names: Collection[str], fake: bool) -> nn.Module:
        places = self._registered.places
        registered = Registrations()
        with registered.recording(real={place for name in names for place in places[name]}, fake=fake):
            module = self._build()
        registered.settle(module)
        if registered.shapes != self._registered.shapes:
            raise PredictionError(f"{type(module).__name__} is not built with the same parameters each time")
        state = dict(module.named_parameters(remove_duplicate=False))
        missing = [name for name in names if state[name].is_meta]
        missing += [name for name, buffer in module.named_buffers() if buffer.is_meta]
        if missing:
            raise RuntimeError(f"the initial values of {', '.join(missing[:3])} come from theirs")
        return module


@contextlib.contextmanager
def _on_meta(registered: Registrations) -> Iterator[None]:
    with registered.recording(real=None), torch.device("meta"):
        yield


def _parameters_on_meta(registered: Registrations) -> AbstractContextManager[None]:
    """For constructors that compute with the values of other tensors than parameters."""
    return registered.recording(real=())


def _parameters_as_fakes(registered: Registrations) -> AbstractContextManager[None]:
    """For constructors that moreover compute such values on the device of a parameter."""
    return registered.recording(real=(), fake=True)
