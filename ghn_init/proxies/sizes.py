"""Sizes of a network as scores: what any other proxy has to beat."""

from __future__ import annotations

from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.ranking.costs import flops as count


def params(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Number of parameters."""
    return float(sum(parameter.numel() for parameter in module.parameters()))


def flops(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Multiply-adds of one image, as `ghn_init.ranking.costs.flops` counts them."""
    try:
        return count(module, images) / len(images)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ProxyError(f"{type(module).__name__} does not run on images {tuple(images.shape)}: {error}") from error
