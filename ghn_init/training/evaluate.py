"""Accuracy of networks with predicted weights, without any training of them."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ghn_init.graph import trace
from ghn_init.hypernet import GHN
from ghn_init.training.data import Images, normalise


@dataclasses.dataclass(frozen=True)
class Summary:
    """Accuracies of several networks.

    Attributes:
        accuracies: top-1, in [0, 1].
    """

    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.accuracies)

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN for fewer than two networks."""
        if len(self.accuracies) < 2:
            return math.nan
        return statistics.stdev(self.accuracies) / math.sqrt(len(self.accuracies))

    def to_dict(self) -> dict[str, Any]:
        """Mean, standard error, best, worst, number, and the accuracies themselves."""
        return {
            "mean": self.mean,
            "standard_error": self.standard_error,
            "best": max(self.accuracies),
            "worst": min(self.accuracies),
            "networks": len(self.accuracies),
            "accuracies": list(self.accuracies),
        }


@torch.no_grad()
def accuracy(
    network: nn.Module, images: Images, *, parameters: dict[str, Tensor] | None = None, batch_size: int = 64
) -> float:
    """Top-1 accuracy of `network` on `images`, with the statistics of each batch in its batch norms.

    Args:
        network: the network; its mode is kept as it is, but for batch norms without running statistics.
        images: what to classify; a last smaller batch counts as well.
        parameters: used in place of the network's own.
        batch_size: images a batch; batch statistics depend on it, the papers take 64.
    """
    right = 0
    for start in range(0, len(images), batch_size):
        batch = images.subset(slice(start, start + batch_size))
        # depthwise convolutions are several times faster channels-last
        x = normalise(batch.pixels).contiguous(memory_format=torch.channels_last)
        logits = network(x) if parameters is None else functional_call(network, parameters, (x,))
        right += int((logits.argmax(dim=1) == batch.labels).sum())
    return right / len(images)


def use_batch_statistics(network: nn.Module) -> nn.Module:
    """Make every batch norm of `network` use the statistics of the batch in evaluation too; returns `network`."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    return network


@torch.no_grad()
def predicted_accuracies(ghn: GHN, networks: Iterable[nn.Module], images: Images) -> Iterator[float]:
    """The accuracy of each network with the weights that `ghn` predicts.

    The networks may be on the meta device and must be in evaluation mode; batch norms should use batch statistics
    (`use_batch_statistics`), since there are no others.
    """
    was_training = ghn.training
    ghn.eval()
    try:
        for network in networks:
            parameters = ghn(trace(network))
            yield accuracy(network, images, parameters=parameters)  # type: ignore[arg-type]
    finally:
        ghn.train(was_training)


def evaluate(ghn: GHN, networks: Iterable[nn.Module], images: Images) -> Summary:
    """`predicted_accuracies`, summarised."""
    return Summary(tuple(predicted_accuracies(ghn, networks, images)))
