"""Weights of the size that optimisers are used to."""

from __future__ import annotations

import torch
from torch import Tensor


def lowered(weight: Tensor, largest: float) -> None:
    """Scales a tensor of floating-point numbers down, in place, to a root mean square of at most `largest`."""
    exact = weight.dtype if weight.dtype == torch.float64 else torch.float32
    # small types know no arithmetic; and where numbers lie in memory is not to change the order of the sum
    values = weight if weight.itemsize > 1 and weight.is_contiguous() else weight.to(exact).contiguous()
    size = torch.linalg.vector_norm(values, dtype=exact) / weight.numel() ** 0.5
    factor = (largest / size).clamp(max=1.0)
    if weight.itemsize > 1:
        weight.mul_(factor)
    else:
        weight.copy_(values.mul_(factor))
