"""Networks by name: timm's, torchvision's, and anybody's own function."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import timm
import torchvision
from torch import nn

from ghn_init.errors import ModelNotFoundError
from ghn_init.lean import Blueprint


@dataclasses.dataclass(frozen=True)
class ZooModel:
    """A network that can be built.

    Attributes:
        name: its name, without the zoo's.
        zoo: "timm", "torchvision", or the module of one's own function.
        build: builds it without pretrained weights; keyword arguments go to its constructor.
    """

    name: str
    zoo: str
    build: Callable[..., nn.Module]

    def blueprint(self, **options: Any) -> Blueprint:
        """The network without memory for its parameters, and a way to get values of some."""
        return Blueprint(functools.partial(self.build, **options))

    def skeleton(self, **options: Any) -> nn.Module:
        """The network on the meta device, without memory, where its constructor allows that; otherwise as `build`."""
        return self.blueprint(**options).skeleton


def find_model(name: str) -> ZooModel:
    """Looks up a network.

    Args:
        name: a name of timm or torchvision (timm's where both have it), ``timm:name``, ``torchvision:name``, or
            ``module:function`` for a function, or class, that returns a `torch.nn.Module`. Modules are also looked for
            in the current folder.

    Raises:
        ModelNotFoundError: there is none; the nearest known name is given.
    """
    prefix, colon, rest = name.rpartition(":")
    if colon and prefix not in _ZOOS:
        return _own(prefix, rest)
    zoos = {prefix: _ZOOS[prefix]} if colon else _ZOOS
    for zoo, (has, build) in zoos.items():
        if has(rest):
            return ZooModel(rest, zoo, functools.partial(build, rest))
    near = difflib.get_close_matches(rest, sorted({known for zoo in zoos for known in _names(zoo)}), n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "For your own, write 'module:function'."
    raise ModelNotFoundError(f"{' and '.join(zoos)} know no network {rest!r}. {hint}")


def _names(zoo: str) -> list[str]:
    names: list[str] = timm.list_models() if zoo == "timm" else torchvision.models.list_models()
    return names


def _in_timm(name: str) -> bool:
    return bool(timm.is_model(name.partition(".")[0]))


def _from_timm(name: str, **options: Any) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=False, **options)
    return model


def _in_torchvision(name: str) -> bool:
    return name in torchvision.models.list_models()


def _from_torchvision(name: str, **options: Any) -> nn.Module:
    builder = torchvision.models.get_model_builder(name)
    if "weights_backbone" in inspect.signature(builder).parameters:
        options["weights_backbone"] = None
    model: nn.Module = builder(weights=None, **options)
    return model


_ZOOS: dict[str, tuple[Callable[[str], bool], Callable[..., nn.Module]]] = {
    "timm": (_in_timm, _from_timm),
    "torchvision": (_in_torchvision, _from_torchvision),
}


def find_function(name: str) -> Callable[..., Any]:
    """Looks up one's own function, or class.

    Args:
        name: ``module:function``; modules are also looked for in the current folder.

    Raises:
        ModelNotFoundError: there is none; the nearest name is given.
    """
    module_name, colon, function_name = name.rpartition(":")
    if not colon:
        raise ModelNotFoundError(f"{name!r} is not of the form 'module:function'.")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelNotFoundError(f"cannot import {module_name!r}: {error}.") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = difflib.get_close_matches(function_name, dir(module), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelNotFoundError(f"{module_name!r} has no function {function_name!r}.{hint}")
    found: Callable[..., Any] = function
    return found


def _own(module_name: str, function_name: str) -> ZooModel:
    function = find_function(f"{module_name}:{function_name}")

    def build(**options: Any) -> nn.Module:
        model = function(**options)
        if not isinstance(model, nn.Module):
            raise ModelNotFoundError(
                f"{module_name}:{function_name} returns {type(model).__name__}, not a torch.nn.Module."
            )
        return model

    return ZooModel(function_name, module_name, build)
