"""Accuracy of networks with predicted weights, one after the other and in memory: what training runs watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from ghn_init.evaluation.accuracy import accuracy
from ghn_init.evaluation.summary import Summary
from ghn_init.graph import trace
from ghn_init.hypernet import GHN
from ghn_init.images import ImageSet


@torch.no_grad()
def predicted_accuracies(ghn: GHN, networks: Iterable[nn.Module], images: ImageSet) -> Iterator[float]:
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


def evaluate(ghn: GHN, networks: Iterable[nn.Module], images: ImageSet) -> Summary:
    """`predicted_accuracies`, summarised."""
    return Summary(tuple(predicted_accuracies(ghn, networks, images)))
