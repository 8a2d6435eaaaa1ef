"""One network with predicted weights: its loss, and the loss's gradient by these weights."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ghn_init.training.pool import Entry


@dataclasses.dataclass(frozen=True)
class NetworkStep:
    """What one network contributes to a meta-step.

    Attributes:
        loss: cross-entropy on the batch.
        correct: share of the batch classified rightly.
        gradients: by parameter name; None if anything was not finite.
    """

    loss: float
    correct: float
    gradients: dict[str, Tensor] | None


def network_step(
    entry: Entry, predicted: dict[str, Tensor], images: Tensor, labels: Tensor, *, clip: float, penalty: float = 0.0
) -> NetworkStep:
    """Run the network forward and backward, without touching the GHN's own graph of operations.

    Args:
        entry: the network.
        predicted: its parameters; they are detached.
        images: float32 (batch, 3, h, w).
        labels: int64 (batch,).
        clip: the gradient is scaled down to this norm, so that no single network rules a meta-batch.
        penalty: weight of the mean norm of the predicted tensors.
    """
    # depthwise convolutions are several times faster channels-last
    leaves = {name: _channels_last(value.detach()).requires_grad_() for name, value in predicted.items()}
    logits = functional_call(entry.skeleton, leaves, (_channels_last(images),))
    loss = F.cross_entropy(logits, labels)
    total = loss
    if penalty:
        total = total + penalty * torch.stack([value.norm() for value in leaves.values()]).mean()
    correct = (logits.argmax(dim=1) == labels).float().mean().item()
    if not torch.isfinite(total):
        return NetworkStep(float(loss.detach()), correct, None)
    gradients = torch.autograd.grad(total, list(leaves.values()))
    norm = torch.nn.utils.get_total_norm(gradients)
    if not torch.isfinite(norm):
        return NetworkStep(float(loss.detach()), correct, None)
    scale = min(1.0, clip / (float(norm) + 1e-12))
    scaled = {name: gradient * scale for name, gradient in zip(leaves, gradients, strict=True)}
    return NetworkStep(float(loss.detach()), correct, scaled)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.contiguous()
