"""Fan-in normalisation of predicted parameters (Knyazev et al., 2021, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Rows of the vector decoder's output: factors (weights of norms) and offsets (biases).
FACTOR, OFFSET = 0, 1


def fan_in_scale(shape: Sequence[int]) -> float:
    """The factor that gives a weight of this shape the variance of He's initialisation: sqrt(beta / fan-in).

    Args:
        shape: (out channels, in channels, then 0 to 3 kernel sides).

    Returns:
        beta is 2, and 1 for weights that no ReLU follows: depthwise kernels and the first half (1 x k) of a
        factorised kernel.
    """
    spatial = len(shape) > 2
    wide = len(shape) > 3 and shape[-2] < shape[-1]
    beta = 1.0 if spatial and (shape[1] == 1 or wide) else 2.0
    return math.sqrt(beta / math.prod(shape[1:]))


def bounded(raw: Tensor, row: int) -> Tensor:
    """One-dimensional parameters in their range: factors in (0, 2) around 1, offsets in (-1, 1) around 0."""
    return 2 * torch.sigmoid(raw / 2) if row == FACTOR else torch.tanh(raw / 5)
