"""Proxies from the gradients of one batch of training images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.running import BATCH_STATISTICS, leaves, logits, loss, weights

#: Added to eigenvalues of `jacob_cov` before the logarithm.
_SMALL = 1e-5


def grad_norm(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The sum over weights of the Euclidean norm of the loss's gradient (Abdelfattah et al., 2021, section 3.2)."""
    return sum(float(gradient.double().norm()) for _, gradient in _gradients(module, images, labels))


def snip(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The sum of |∂L/∂θ · θ| over weights (Lee et al., 2019, section 4.1; Abdelfattah et al., 2021, section 3.2)."""
    return sum(
        float((gradient * weight).double().abs().sum()) for weight, gradient in _gradients(module, images, labels)
    )


def fisher(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """What removing each channel would cost, summed (Turner et al., 2020; Abdelfattah et al., 2021, section 3.2).

    For channel c of the output z of a convolution or linear layer: 1/(2n) · Σ over images of (Σ over places of
    z · ∂L/∂z)².
    """
    outputs: list[tuple[Tensor, int]] = []

    def recorded(operation: Callable[..., Tensor], channels: int, *args: Any, **options: Any) -> Tensor:
        output = operation(*args, **options)
        if output.requires_grad:
            outputs.append((output, channels))
        return output.clone()  # a rectifier may work in place

    substitutes = {operation: partial(recorded, operation, axis) for operation, axis in _LAYERS.items()}
    found = logits(module, leaves(module), images, {**BATCH_STATISTICS, **substitutes})
    if not outputs:
        raise ProxyError(f"{type(module).__name__} has no convolution and no linear layer")
    gradients = torch.autograd.grad(loss(found, labels), [output for output, _ in outputs], allow_unused=True)
    total = 0.0
    for (output, channels), gradient in zip(outputs, gradients, strict=True):
        if gradient is not None:
            product = (output.detach() * gradient).double().movedim(channels, -1)
            by_image = product.reshape(len(images), -1, product.shape[-1]).sum(dim=1)
            total += float(by_image.square().sum()) / (2 * len(images))
    return total


#: The axis of the channels in an operation's result.
_LAYERS: dict[Any, int] = {F.conv1d: 1, F.conv2d: 1, F.conv3d: 1, F.linear: -1}


def jacob_cov(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """How differently the network answers to each image (Mellor et al., 2020, first version of NASWOT, section 3).

    −Σ log(σ + k) + 1/(σ + k) over the eigenvalues σ of the correlations between images of the gradients of the sum of
    all logits with respect to the image, k = 1e-5.
    """
    pixels = images.detach().clone().requires_grad_()
    found = logits(module, leaves(module), pixels, BATCH_STATISTICS)
    (jacobian,) = torch.autograd.grad(found.sum(), pixels)
    correlations = torch.corrcoef(jacobian.flatten(1).double())
    if not correlations.isfinite().all():
        raise ProxyError(f"{type(module).__name__}: the gradients of an image are constant or not finite")
    eigenvalues = torch.linalg.eigvalsh(correlations) + _SMALL
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def _gradients(module: nn.Module, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The weights that count in the loss, each with its gradient."""
    parameters = leaves(module)
    wanted = weights(parameters)
    value = loss(logits(module, parameters, images, BATCH_STATISTICS), labels)
    gradients = torch.autograd.grad(value, wanted, allow_unused=True)
    return [(own.detach(), grad) for own, grad in zip(wanted, gradients, strict=True) if grad is not None]
