"""A call of a network with predicted weights, in which equal channels are computed once."""

from __future__ import annotations

import logging

from torch import Tensor, nn
from torch.func import functional_call

from ghn_init.merging.mode import Merged
from ghn_init.merging.tensors import whole

logger = logging.getLogger(__name__)


def merged_call(
    network: nn.Module, parameters: dict[str, Tensor], x: Tensor, periods: dict[str, tuple[int, int]]
) -> Tensor:
    """What `torch.func.functional_call` gives, to rounding; on CPU, where arithmetic is what takes time, sooner.

    Args:
        network: returns one tensor.
        parameters: used in place of the network's own, by name.
        x: images, float32 (batch, channels, height, width).
        periods: after how many numbers which of `parameters` repeat (`Target.periods`). It is emptied where the network
            cannot be run with equal channels merged. What such a network did until then, drawing random numbers or
            changing its buffers or `x`, it does again.
    """
    if periods and x.device.type == "cpu":
        try:
            with Merged((parameters[name], found) for name, found in periods.items()):
                merged = functional_call(network, parameters, (x,))
            return whole(merged)  # outside, where it is no operation of the network
        except Exception as error:  # noqa: BLE001  (the network is anybody's code; its own errors come again below)
            logger.debug("%s is run with all its channels: %s", type(network).__name__, error)
            periods.clear()
    result: Tensor = functional_call(network, parameters, (x,))
    return result
