"""Networks as they are before the first step, kept for the runs to come."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ghn_init.comparison.networks import Network
from ghn_init.comparison.runs import Purpose
from ghn_init.comparison.strategies import register_again, registrations, start_with
from ghn_init.deepnets import stream

#: Bytes of networks that a process keeps, besides the one that it trains.
MEMORY = 512 * 2**20


class Starts:
    """Networks with their first weights.

    The own random weights of a network depend on its name, the purpose of a run and the run's seed alone: they are the
    same for all starts. What was made last is kept, so that further runs from it need a copy only; a pickled `Starts`
    is empty.

    Args:
        networks: by name.
        strategies: specs of the starts.
        num_classes: of the images.
        image_size: side of the images.
        device: where to train.
        seed: of everything.
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        strategies: Sequence[str],
        num_classes: int,
        image_size: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self.networks = dict(networks)
        self.num_classes, self.image_size, self.device, self.seed = num_classes, image_size, device, seed
        self._kept: OrderedDict[Any, nn.Module] = OrderedDict()
        self._taken: dict[Any, int] = {}
        self._registrations = registrations(strategies)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_taken": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        register_again(self._registrations)  # another process knows the strategies of the package only

    def get(
        self,
        model: str,
        strategy: str,
        purpose: Purpose,
        seed: int,
        example: Tensor,
        batches: Iterator[tuple[Tensor, Tensor]],
    ) -> tuple[nn.Module, int]:
        """A copy of a network as a run is to start from, channels-last, and how many batches the start has taken.

        Args:
            model: name of the network.
            strategy: spec of the start.
            purpose: of the run.
            seed: of the run.
            example: a batch of training images as the network takes them, for starts that look at data.
            batches: those of the run, always the same for a purpose and a seed, for starts that learn from data.
                What a start takes is missing afterwards.
        """
        key = (model, strategy, purpose, seed)
        started = self._recall(key)
        if started is None:
            started = self.own(model, purpose, seed)
            start_seed = self.seed_of("start", purpose, seed, model)
            self._taken[key] = start_with(strategy, started, seed=start_seed, example=example, batches=batches)
            self._keep(key, started)
        else:
            for _ in islice(batches, self._taken[key]):
                pass
        return copy.deepcopy(started), self._taken[key]

    def seed_of(self, what: str, *key: str | int) -> int:
        """A seed that depends on these alone."""
        return int(stream("compare", what, self.seed, *key).integers(2**62))

    def own(self, model: str, purpose: Purpose, seed: int) -> nn.Module:
        """The network with its own random weights, in evaluation mode."""
        key = (model, purpose, seed)
        own = self._recall(key)
        if own is None:
            with torch.random.fork_rng():
                torch.manual_seed(self.seed_of("own", purpose, seed, model))
                built = self.networks[model].build(self.num_classes, self.image_size).eval()
            # depthwise convolutions are several times faster channels-last
            own = built.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._keep(key, own)
        return copy.deepcopy(own)

    def _recall(self, key: Any) -> nn.Module | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Any, network: nn.Module) -> None:
        self._kept[key] = network
        while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > MEMORY:
            self._kept.popitem(last=False)


def _size(network: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in network.state_dict().values())
