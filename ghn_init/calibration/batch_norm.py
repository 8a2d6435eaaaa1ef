"""Running statistics of batch norms, estimated anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from ghn_init.calibration.batches import arguments_of
from ghn_init.calibration.errors import CalibrationError
from ghn_init.calibration.state import batch_norms, set_mode


def reestimate_batch_norm(
    module: nn.Module,
    loader: Iterable[Any],
    *,
    device: torch.device | str | None = None,
    batches: int | None = None,
) -> int:
    """Estimates the running mean and variance of every batch norm anew, as the averages over the batches of a loader.

    All else, training modes and momenta included, stays as it is, and on an error the statistics do too. Dropout is
    off. It is `torch.optim.swa_utils.update_bn` for any kind of batch.

    Args:
        module: a network with batch norms.
        loader: an iterable of tensors, tuples of which the module gets as many as its forward requires
            ((images, labels) does), or dicts, of which it gets the arguments that it has.
        device: where to put the batches; the module's own by default. The module is not moved.
        batches: how many batches to use at most; all by default.

    Returns:
        The number of batches used.

    Raises:
        CalibrationError: no batch norm with running statistics, an empty loader, or statistics that are not finite.
    """
    norms = batch_norms(module)
    if not any(norm.track_running_stats and norm.running_mean is not None for norm in norms):
        raise CalibrationError(f"{type(module).__name__} has no batch norm with running statistics to estimate")
    if batches is not None and batches < 1:
        raise CalibrationError(f"batches must be at least 1, got {batches}")
    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for item in islice(iter(loader), batches):
            yield arguments_of(module, item, device)
            count += 1

    flags = [(part, part.training) for part in module.modules()]
    momenta = [(norm, norm.momentum) for norm in norms]
    buffers = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers(recurse=False)]
    done = False
    try:
        with torch.inference_mode(False):
            update_bn(counted(), _Runner(module))
        if not count:
            raise CalibrationError("the loader is empty")
        if not all(bool(buffer.isfinite().all()) for buffer, _ in buffers):
            raise CalibrationError(
                f"the batch statistics of {type(module).__name__} are not finite; ghn_init.calibrate may help"
            )
        done = True
    finally:
        for part, flag in flags:
            part.training = flag
        for norm, momentum in momenta:
            norm.momentum = momentum
        if not done:
            with torch.no_grad():
                for buffer, saved in buffers:
                    buffer.copy_(saved)
    return count


class _Runner(nn.Module):
    """Calls a module by named arguments; training is for its batch norms only."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, arguments: dict[str, Any]) -> Any:
        return self.module(**arguments)

    def train(self, mode: bool = True) -> _Runner:
        set_mode(self.module, batch_statistics=mode)
        return self
