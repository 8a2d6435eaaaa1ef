"""Architectures with all that a training step needs of them: graph and skeleton."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import torch
from torch import nn

from ghn_init.deepnets import AnyArchitecture, stream
from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.skip_init import skip_init
from ghn_init.graph.vocabulary import restricted
from ghn_init.hypernet import GHNConfig
from ghn_init.hypernet.targets import targets
from ghn_init.merging import Repeats
from ghn_init.training.architectures import Drawn
from ghn_init.training.config import TrainConfig

#: Entries that a process keeps, for runs that see few architectures many times.
CACHED = 1000
#: How much of a network's load must fall away for equal channels to be worth merging: that takes time, too
#: (`benchmarks/merging.py`).
WORTHWHILE = 75e6


@dataclasses.dataclass(frozen=True)
class Entry:
    """One architecture with all that a training step needs of it.

    Attributes:
        name: where it comes from, for messages.
        architecture: what it is.
        image_size: side of the images that the skeleton takes.
        graph: the graph that the GHN reads.
        skeleton: the module for `torch.func.functional_call`: predicted parameters are on the meta device, buffers and
            parameters that the GHN does not predict have their own initial values.
        periods: after how many numbers its predicted weights repeat (`Target.periods`), by name; empty where that saves
            nothing.
    """

    name: str
    architecture: AnyArchitecture
    image_size: int
    graph: ArchGraph
    skeleton: nn.Module
    periods: dict[str, tuple[int, int]]

    @functools.cached_property
    def cost(self) -> float:
        """Approximate multiply-adds of a forward pass of one image."""
        return self.architecture.cost(self.image_size)

    def to(self, device: torch.device) -> Entry:
        """The entry, with what of its skeleton has values on `device`."""
        for holder, name, tensor in _tensors(self.skeleton):
            if not tensor.is_meta and tensor.device != device:
                _put(holder, name, tensor.to(device))
        return self


def make_entry(
    architecture: AnyArchitecture, image_size: int = 32, *, config: GHNConfig | None = None, name: str = ""
) -> Entry:
    """Graph and skeleton of `architecture`.

    Args:
        architecture: what to build.
        image_size: side of its images.
        config: of the GHN that is to predict its parameters: its vocabulary and number of classes count.
        name: for messages.
    """
    config = GHNConfig() if config is None else config
    with torch.device("meta"), skip_init():
        skeleton = architecture.build(config.num_classes, image_size)
    graph = architecture.graph(config.num_classes, image_size)
    wanted, _ = targets(restricted(graph, config.node_types), config)
    predicted = {target.name for target in wanted}
    predicted |= {alias for alias, kept in graph.aliases.items() if kept in predicted}
    parameters = {name for name, _ in skeleton.named_parameters(remove_duplicate=False)}
    if parameters - predicted or next(skeleton.buffers(), None) is not None:
        skeleton = _with_values(architecture, config.num_classes, image_size, predicted)
    repeats = Repeats.of(graph, wanted, config)
    saved = architecture.load(image_size) * (1 - repeats.kept)
    periods = repeats.periods if saved >= WORTHWHILE else {}
    return Entry(name, architecture, image_size, graph, skeleton.requires_grad_(False), periods)


class Entries:
    """The entries of architectures as they are drawn; the last `CACHED` ones are kept.

    Args:
        config: of the GHN.
    """

    def __init__(self, config: GHNConfig) -> None:
        self.config = config
        self._kept: dict[tuple[AnyArchitecture, int], Entry] = {}

    def __getitem__(self, drawn: Drawn) -> Entry:
        key = (drawn.architecture, drawn.image_size)
        entry = self._kept.pop(key, None)
        if entry is None:
            entry = make_entry(drawn.architecture, drawn.image_size, config=self.config, name=drawn.name)
        self._kept[key] = entry
        if len(self._kept) > CACHED:
            del self._kept[next(iter(self._kept))]
        return entry


def evaluation_entries(split: str, count: int, config: GHNConfig, train: TrainConfig) -> list[Entry]:
    """The first `count` architectures of a split at their own width, on images of the training data's size."""
    from ghn_init.deepnets import sample

    size = train.architectures.fixed_image_size
    return [make_entry(sample(split, index), size, config=config, name=f"{split}/{index}") for index in range(count)]


def _with_values(architecture: AnyArchitecture, classes: int, image_size: int, predicted: set[str]) -> nn.Module:
    """The network with memory for what is not predicted only; its values depend on the architecture alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream("values", repr(architecture)).integers(2**62)))
        network = architecture.build(classes, image_size)
    empty = {p: nn.Parameter(p.to("meta"), requires_grad=False) for p in network.parameters()}  # tied ones stay tied
    for path, module in network.named_modules(remove_duplicate=False):
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if parameter in empty and f"{path}.{name}".lstrip(".") in predicted:
                setattr(module, name, empty[parameter])
    return network


def _tensors(network: nn.Module) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
    for module in network.modules():
        yield from ((module, name, value) for name, value in [*module.named_parameters(recurse=False)])
        yield from ((module, name, value) for name, value in [*module.named_buffers(recurse=False)])


def _put(module: nn.Module, name: str, value: torch.Tensor) -> None:
    if name in module._parameters:
        module._parameters[name] = nn.Parameter(value, requires_grad=False)
    else:
        module._buffers[name] = value
