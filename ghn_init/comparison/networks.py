"""The networks of a comparison: by name, or from functions of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ghn_init.comparison.errors import ComparisonError
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.subjects import NamedNetwork, named_networks


@runtime_checkable
class Network(Protocol):
    """A network to train: a `ZooNetwork`, an `OwnNetwork`, or anything like these; can be pickled."""

    @property
    def name(self) -> str:
        """What results call it; no two networks have the same."""
        ...

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights, with batch statistics in batch norm."""
        ...


@dataclasses.dataclass(frozen=True)
class ZooNetwork:
    """A network by name.

    Attributes:
        network: the network.
    """

    network: NamedNetwork

    @property
    def name(self) -> str:
        """Its name and the options of its constructor."""
        return dataclasses.replace(self.network, small_images=True).name  # the settings say what is done to stems

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        return self.network.build(num_classes, image_size)


@dataclasses.dataclass(frozen=True)
class OwnNetwork:
    """A network that a function without arguments makes.

    Attributes:
        name: what results call it.
        factory: makes it; for several processes it must be one that can be pickled, such as a module's function.
    """

    name: str
    factory: Callable[[], nn.Module]

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        return use_batch_statistics(self.factory())


Models = str | Network | Callable[[], nn.Module] | Mapping[str, Callable[[], nn.Module]]


def as_networks(
    models: Models | Iterable[Models], options: Mapping[str, Any] | None = None, *, small_images: bool = False
) -> list[Network]:
    """Networks from names, functions or both.

    Args:
        models: one or several: a name as for `ghn_init.zoo.find_model`, a function without arguments that makes a
            network, a mapping of names to such functions, or a `Network`.
        options: keyword arguments for the constructors of networks by name.
        small_images: change the stems of networks by name that are for large images; see `CompareConfig`.

    Raises:
        ModelNotFoundError: there is none of a name.
        ComparisonError: no network, or two of the same name.
    """
    alone = isinstance(models, str | Mapping | nn.Module)
    several: list[Any] = [models] if alone or not isinstance(models, Iterable) else list(models)
    found: list[Network] = []
    for model in several:
        if isinstance(model, str):
            found += map(ZooNetwork, named_networks([model], options, small_images=small_images))
        elif isinstance(model, Mapping):
            found += [OwnNetwork(name, factory) for name, factory in model.items()]
        elif isinstance(model, Network):
            found.append(model)
        elif callable(model) and not isinstance(model, nn.Module):
            found.append(OwnNetwork(getattr(model, "__name__", type(model).__name__), model))
        else:
            raise ComparisonError(
                f"a model is a name or a function that makes one, not {type(model).__name__}: each training builds "
                "it anew"
            )
    names = [network.name for network in found]
    if not names:
        raise ComparisonError("no networks to compare starts of")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ComparisonError(f"two networks have the name {twice.pop()!r}; give them others")
    return found
