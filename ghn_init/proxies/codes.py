"""NASWOT: how well a network at its initialisation tells images apart by which units are active."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.running import BATCH_STATISTICS, leaves, logits

#: Operations that let positive numbers through and damp negative ones.
RECTIFIERS: tuple[Any, ...] = (
    F.relu,
    F.relu_,
    F.relu6,
    F.leaky_relu,
    F.leaky_relu_,
    F.prelu,
    F.elu,
    F.elu_,
    F.selu,
    F.celu,
    F.gelu,
    F.silu,
    F.mish,
    F.hardswish,
    torch.relu,
    torch.relu_,
    Tensor.relu,
    Tensor.relu_,
)


def naswot(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """log |det K| of the kernel of binary codes (Mellor et al., 2021, section 3).

    Each image has a code: for each rectifier's unit whether its input is positive. K of two images is the number of
    units in which their codes agree. Rectifiers other than ReLU count as it does, by the sign of their inputs. Minus
    infinity where two images have the same code.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    units = 0

    def seen(operation: Callable[..., Tensor], x: Tensor, *args: Any, **options: Any) -> Tensor:
        nonlocal units
        if x.numel() % len(images) or not x.dim():
            raise ProxyError(f"{type(module).__name__} rectifies {tuple(x.shape)}, which is not a part for each image")
        signs = (x.detach() > 0).reshape(len(images), -1).float() * 2 - 1
        units += signs.shape[1]
        kernel.add_(signs @ signs.t())  # agreements less disagreements, whole numbers
        return operation(x, *args, **options)

    with torch.no_grad():
        substitutes = {operation: partial(seen, operation) for operation in RECTIFIERS}
        found = logits(module, leaves(module), images, {**BATCH_STATISTICS, **substitutes})
    if not units:
        raise ProxyError(f"{type(module).__name__} has no rectifiers (ReLU, GELU and the like)")
    if not found.isfinite().all():
        raise ProxyError(f"the logits of {type(module).__name__} are not finite")
    if int((kernel == units).sum()) > len(images):
        return -math.inf  # which rounding would hide
    return float(torch.linalg.slogdet((kernel + units) / 2).logabsdet)
