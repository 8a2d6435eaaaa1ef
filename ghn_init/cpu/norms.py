"""Batch norm with a fast backward step."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from ghn_init.cpu.gradients import laid_out


def batch_norm(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`torch.nn.functional.batch_norm`, whose backward step never gets a gradient that it is slow at."""
    return laid_out(F.batch_norm(input, *args, **kwargs))
