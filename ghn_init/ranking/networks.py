"""Networks to rank that have no name in a zoo: modules in memory, and those that a function makes."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from ghn_init.deepnets import stream
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.subjects import Skeleton, Subject
from ghn_init.graph import trace
from ghn_init.lean import Blueprint
from ghn_init.ranking.costs import on_meta
from ghn_init.ranking.errors import RankingError

#: Makes network i, from the index alone.
Generator = Callable[[int], "nn.Module | Subject"]


@dataclasses.dataclass(frozen=True)
class ModuleNetwork:
    """A module in memory, which stays as it is: copies of it are measured.

    Attributes:
        name: what results call it.
        module: takes images (n, 3, size, size), gives logits (n, classes).
        place: its number in the list that it comes from.
    """

    name: str
    module: nn.Module
    place: int = 0

    @property
    def column(self) -> str:
        """A column of its own."""
        return self.name

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """A copy without memory, and its graph."""
        return _skeleton(on_meta(self.module), image_size)

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """A copy with the module's own values."""
        return use_batch_statistics(copy.deepcopy(self.module).eval())

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for its layers and its values."""
        found = hashlib.blake2b(repr(self.module).encode(), digest_size=8)
        for name, value in self.module.state_dict().items():
            found.update(f"{name} {tuple(value.shape)}".encode())
            if not value.is_meta:
                found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()


@dataclasses.dataclass(frozen=True)
class GeneratedNetwork:
    """What a function makes of an index.

    Attributes:
        source: what to call the function.
        generator: returns a module or a `Subject`, the same one every time. torch's random numbers are the same for the
            same index; for several processes it must be one that can be pickled, such as a module's function.
        index: its argument.
    """

    source: str
    generator: Generator
    index: int

    @property
    def name(self) -> str:
        """What results call it."""
        return f"{self.source}/{self.index}"

    @property
    def column(self) -> str:
        """The function's name."""
        return self.source

    @property
    def place(self) -> int:
        """Its index."""
        return self.index

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, where its constructor allows that, and its graph."""
        made: list[nn.Module | Subject] = []

        def build() -> nn.Module:
            made[:] = [self._make()]
            return made[0] if isinstance(made[0], nn.Module) else nn.Module()

        blueprint = Blueprint(build)
        if isinstance(made[0], nn.Module):
            return _skeleton(blueprint.skeleton, image_size)
        return made[0].skeleton(num_classes, image_size)

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        made = self._make()
        if isinstance(made, nn.Module):
            return use_batch_statistics(made.eval())
        return made.build(num_classes, image_size)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the function: where it is, and its text where there is one."""
        text = ".".join(str(getattr(self.generator, name, "")) for name in ("__module__", "__qualname__"))
        with contextlib.suppress(OSError, TypeError):
            text += inspect.getsource(self.generator)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _make(self) -> nn.Module | Subject:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(stream("generated", self.index).integers(2**62)))
            made = self.generator(self.index)
        if isinstance(made, nn.Module) or is_subject(made):
            return made
        raise RankingError(
            f"{self.source} returns {type(made).__name__} for index {self.index}; it is to return a torch.nn.Module "
            "or a ghn_init.evaluation.Subject"
        )


def is_subject(thing: Any) -> bool:
    """Whether a thing is a `Subject`, by its methods."""
    return all(callable(getattr(thing, method, None)) for method in ("skeleton", "build")) and hasattr(thing, "name")


class Once:
    """A network whose skeleton is made once.

    Args:
        subject: the network.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._skeleton: Skeleton | None = None
        self.name, self.column = subject.name, subject.column
        self.place = 0  # all networks are measured on the same images

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, and its graph; the arguments are the same every time."""
        if self._skeleton is None:
            self._skeleton = self._subject.skeleton(num_classes, image_size)
        return self._skeleton

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        return self._subject.build(num_classes, image_size)


def digest_of(subject: Subject) -> str:
    """What tells a network from another of the same name; nothing where the name says it all."""
    return cast(str, getattr(subject, "digest", ""))


def _skeleton(network: nn.Module, image_size: int) -> Skeleton:
    network = use_batch_statistics(network.eval())
    return Skeleton(network, trace(network, example_inputs=torch.empty(2, 3, image_size, image_size, device="meta")))
