"""Batch norms without running statistics, as the GHN papers train and evaluate them."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def use_batch_statistics(network: Network) -> Network:
    """Make every batch norm of `network` use the statistics of the batch in evaluation too; returns `network`."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    return network
