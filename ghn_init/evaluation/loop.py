"""The loop that trains one network on given batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ghn_init.cpu import fast_on_cpu


def train_steps(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    *,
    clip: float = 0.0,
    label_smoothing: float = 0.0,
    before: Mapping[int, Callable[[int], object]] | None = None,
) -> int | None:
    """Trains `network` in place and leaves it in evaluation mode.

    Args:
        network: what to train.
        batches: float32 (n, 3, h, w) images and int64 (n,) labels or float32 (n, classes) shares, one pair a step.
        optimiser: of its parameters.
        schedule: of the optimiser; it goes on after each step.
        clip: largest norm of the gradient; 0 for any.
        label_smoothing: share of the labels that goes to all classes alike.
        before: what to call, in evaluation mode, after so many steps and before the next; it is told that number.

    Returns:
        The step at which the loss was not finite, where training ended; None if there was none.
    """
    before = before or {}
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    network.train()
    try:
        for step, (images, labels) in enumerate(batches):
            if step in before:
                network.eval()
                before[step](step)
                network.train()
            with fast_on_cpu(images.device):
                logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
            if not torch.isfinite(loss):
                return step
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if clip:
                nn.utils.clip_grad_norm_(parameters, clip)
            optimiser.step()
            schedule.step()
        return None
    finally:
        network.eval()
