"""One network with predicted weights: its loss, and the loss's gradient by these weights."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from ghn_init.cpu import fast_on_cpu
from ghn_init.hypernet.tiling import alike, split_rows
from ghn_init.merging import merged_call
from ghn_init.training.entries import Entry

#: How images and kernels lie in memory, by device: on CPU depthwise convolutions are several times faster so.
LAYOUTS = {"cpu": torch.channels_last}


@dataclasses.dataclass(frozen=True)
class NetworkStep:
    """What one network contributes to a meta-step; all tensors are on the images' device, and nothing waits for it.

    Attributes:
        loss: cross-entropy on the batch, float32 scalar.
        correct: share of the batch classified rightly, float32 scalar.
        finite: whether the loss and all gradients are finite, bool scalar.
        gradients: by parameter name, float32; zeros if not `finite`. Those by weights that repeat (`Entry.periods`) are
            means over the copies: what the GHN's backward step adds up is the same.
    """

    loss: Tensor
    correct: Tensor
    finite: Tensor
    gradients: dict[str, Tensor]


def network_step(
    entry: Entry,
    predicted: dict[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    clip: float,
    penalty: float = 0.0,
    label_smoothing: float = 0.0,
    amp: torch.dtype | None = None,
    share: float = 1.0,
) -> NetworkStep:
    """Run the network forward and backward, without touching the GHN's own graph of operations.

    Args:
        entry: the network.
        predicted: its parameters, float32, which repeat as the entry says; they are detached.
        images: float32 (batch, 3, h, w).
        labels: classes, int64 (batch,), or their probabilities, float32 (batch, classes).
        clip: the gradient is scaled down to this norm, so that no single network rules a meta-batch.
        penalty: weight of the mean norm of the predicted tensors (Knyazev et al., 2023, section 4).
        label_smoothing: share of each label's probability that is spread over all classes (Szegedy et al., 2016,
            section 7).
        amp: dtype of the network's forward pass (`torch.autocast`); None for float32.
        share: the gradients are multiplied by it after clipping; 1 / (meta-batch) makes their sum a mean.
    """
    device = images.device.type
    leaves = {name: _laid_out(value.detach(), device).requires_grad_() for name, value in predicted.items()}
    with torch.autocast(device, dtype=amp, enabled=amp is not None), fast_on_cpu(images.device):
        logits = merged_call(entry.skeleton, leaves, _laid_out(images, device), entry.periods).float()
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    total = loss
    if penalty:
        total = total + penalty * torch.stack([value.norm() for value in leaves.values()]).mean()
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)

    # equal weights are to stay equal; with merged channels some of them get the mean anyway, some their own gradient
    repeated = zip(leaves, gradients, strict=True)
    gradients = tuple(alike(g, entry.periods[name]) if name in entry.periods else g for name, g in repeated)
    # one vector: a few operations for all tensors together
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    norm = torch.linalg.vector_norm(flat)
    finite = torch.isfinite(norm) & torch.isfinite(total.detach())
    flat = torch.where(finite, flat * (share * (clip / (norm + 1e-12)).clamp(max=1.0)), 0.0)
    parts = split_rows(flat, [value.numel() for value in predicted.values()])
    classes = labels if labels.dim() == 1 else labels.argmax(dim=1)
    return NetworkStep(
        loss=loss.detach(),
        correct=(logits.detach().argmax(dim=1) == classes).float().mean(),
        finite=finite,
        gradients={name: part.view_as(predicted[name]) for name, part in zip(leaves, parts, strict=True)},
    )


def _laid_out(x: Tensor, device: str) -> Tensor:
    layout = LAYOUTS.get(device, torch.contiguous_format)
    return x.contiguous(memory_format=layout) if x.dim() == 4 else x.contiguous()
