"""What a weight may be: a finite floating-point number."""

from __future__ import annotations

import torch
from torch import Tensor

from ghn_init.errors import CheckpointError


def checked_values(tensor: Tensor, name: str, where: str) -> Tensor:
    """The tensor in float32, once its values are known to be finite.

    Raises:
        CheckpointError: not floating-point numbers, or some of them NaN or infinite.
    """
    if not tensor.is_floating_point():
        raise CheckpointError(f"{where}: tensor {name[:80]!r} is {tensor.dtype}; weights are floating-point numbers.")
    tensor = tensor.float()
    # One number that is not finite makes the sum so; a sum that overflows by itself is looked at element by element.
    if not torch.isfinite(tensor.sum()):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise CheckpointError(
                f"{where}: tensor {name[:80]!r} holds {bad} values of {tensor.numel()} that are NaN or infinite."
            )
    return tensor
