"""The networks that a GHN is evaluated on, by name: those of a split, and those of timm and torchvision."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ghn_init import deepnets
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.errors import EvaluationError
from ghn_init.evaluation.stems import find_stem, shrink_stem
from ghn_init.graph import trace
from ghn_init.graph.arch import ArchGraph
from ghn_init.zoo import find_model

#: The splits of the papers' tables, in their order (Knyazev et al., 2021, section 5.1).
PAPER_SPLITS: tuple[str, ...] = ("test", "wide", "deep", "dense", "bnfree", "predefined")
#: The networks of the split "predefined".
PREDEFINED: tuple[str, ...] = ("ResNet-50", "ViT")
#: What constructors call the side of the images, where it is fixed.
SIZE_OPTIONS = ("img_size", "image_size")


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A network without values, and its graph.

    Attributes:
        network: on the meta device, in evaluation mode, with batch statistics in batch norm.
        graph: what the GHN reads.
    """

    network: nn.Module
    graph: ArchGraph


class Subject(Protocol):
    """A network to evaluate: `SplitNetwork`, `NamedNetwork`, or a frozen dataclass of yours that can be pickled."""

    @property
    def name(self) -> str:
        """What results call it; no two networks have the same."""
        ...

    @property
    def column(self) -> str:
        """The column of the papers' table that it counts for."""
        ...

    @property
    def place(self) -> int:
        """Its number among the networks of its column."""
        ...

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, and its graph."""
        ...

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights, in evaluation mode, with batch statistics in batch norm."""
        ...


@dataclasses.dataclass(frozen=True)
class SplitNetwork:
    """Architecture `index` of a split of `ghn_init.deepnets`."""

    split: str
    index: int

    @property
    def name(self) -> str:
        """What results call it."""
        return f"{self.split}/{self.index}"

    @property
    def column(self) -> str:
        """The column of the papers' table that it counts for: its split, or itself if predefined."""
        return PREDEFINED[self.index] if self.split == "predefined" else self.split

    @property
    def place(self) -> int:
        """Its number among the networks of its column."""
        return 0 if self.split == "predefined" else self.index

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, and its graph."""
        with torch.device("meta"):
            network = self.build(num_classes, image_size)
        return Skeleton(network, self._architecture.graph(num_classes, image_size))

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        return self._architecture.build(num_classes, image_size)

    @functools.cached_property
    def _architecture(self) -> deepnets.AnyArchitecture:
        return deepnets.sample(self.split, self.index)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class NamedNetwork:
    """A network of timm, torchvision or one's own, by any name that `ghn_init.zoo.find_model` knows.

    Attributes:
        model: the name.
        options: keyword arguments for its constructor.
        small_images: whether to change a stem for large images, as the papers do; see `ghn_init.evaluation.stems`.
    """

    model: str
    options: tuple[tuple[str, Any], ...] = ()
    small_images: bool = True

    @property
    def name(self) -> str:
        """What results call it."""
        options = ",".join(f"{key}={value}" for key, value in self.options)
        return self.model + (f"[{options}]" if options else "") + ("" if self.small_images else "[own stem]")

    @property
    def column(self) -> str:
        """A column of its own."""
        return self.name

    @property
    def place(self) -> int:
        """The first and only one of its column."""
        return 0

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        """The network without memory, and its graph."""
        network = find_model(self.model).skeleton(num_classes=num_classes, **self._sized(num_classes, image_size))
        network = self._adapted(network.eval())
        return Skeleton(network, trace(network))

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        """The network with its own random weights."""
        network = find_model(self.model).build(num_classes=num_classes, **self._sized(num_classes, image_size))
        return self._adapted(network.eval())

    def _sized(self, num_classes: int, image_size: int) -> dict[str, Any]:
        """The constructor's options, with the images' side if it can be told and is not among them."""
        options = dict(self.options)
        if options.keys() & set(SIZE_OPTIONS):
            return options
        for name in SIZE_OPTIONS:
            try:
                find_model(self.model).skeleton(num_classes=num_classes, **options, **{name: image_size})
            except TypeError:
                continue  # no such argument
            return options | {name: image_size}
        return options

    def _adapted(self, network: nn.Module) -> nn.Module:
        if self.small_images:
            shrink_stem(network, find_stem(network, trace(network)))
        return use_batch_statistics(network)


def named_networks(
    models: Iterable[str], options: Mapping[str, Any] | None = None, *, small_images: bool = True
) -> list[NamedNetwork]:
    """Networks by name, with the same keyword arguments for all constructors.

    Raises:
        ModelNotFoundError: there is none of that name.
    """
    names = [name for name in models if find_model(name)]
    return [NamedNetwork(name, tuple(sorted((options or {}).items())), small_images) for name in names]


def split_networks(splits: Iterable[str], count: int, *, first: int = 0) -> list[SplitNetwork]:
    """Networks of some splits.

    Args:
        splits: names out of `ghn_init.deepnets.SPLITS`; "all" stands for `PAPER_SPLITS`.
        count: networks a split, or as many as the split has.
        first: index of the first one.

    Raises:
        EvaluationError: an unknown split.
    """
    wanted: list[str] = []
    for split in splits:
        wanted += PAPER_SPLITS if split == "all" else (split,)
    known: Sequence[str] = deepnets.SPLITS
    if unknown := [split for split in wanted if split not in known]:
        raise EvaluationError(f"unknown split {unknown[0]!r}; known are {', '.join(known)}, and 'all'")
    networks = []
    for split in dict.fromkeys(wanted):
        size = deepnets.SPLIT_SIZES[split]
        last = first + count if size is None else min(first + count, size)
        networks += [SplitNetwork(split, index) for index in range(first, last)]
    return networks
