"""ReLUs of the same tensor, computed once."""

from __future__ import annotations

from collections.abc import MutableMapping

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from ghn_init.cpu.gradients import laid_out


class SharedReLU:
    """`torch.nn.functional.relu` that remembers its results for as long as their inputs live.

    In cells whose operations all begin with a ReLU, a third of their work is done again and again. Only where gradients
    are computed: there autograd refuses to go back through a ReLU whose result was changed in place, so no network can
    tell that another operation reads the same tensor.
    """

    def __init__(self) -> None:
        self._kept: MutableMapping[Tensor, tuple[int, Tensor]] = WeakTensorKeyDictionary()

    def __call__(self, input: Tensor, inplace: bool = False) -> Tensor:
        """The positive part of `input`."""
        if inplace or not (torch.is_grad_enabled() and input.requires_grad):
            return F.relu(input, inplace)
        known = self._kept.get(input)
        if known is None or known[0] != input._version:
            known = self._kept[input] = input._version, laid_out(F.relu(input))
        return known[1]
