"""The largest element of a tensor, remembered while the tensor stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_known: WeakIdKeyDictionary = WeakIdKeyDictionary()


def largest(tensor: Tensor) -> float:
    """The largest absolute value, NaN if there is a NaN.

    The last layer of a large decoder takes a tenth of a second to read, and every prediction asks for it: the answer
    is kept until the tensor changes in place, moves, or is gone.
    """
    state = None if tensor.is_inference() else (tensor._version, tensor.data_ptr())
    if state is not None and tensor in _known and _known[tensor][0] == state:
        known: float = _known[tensor][1]
        return known
    low, high = (float(end) for end in torch.aminmax(tensor.detach()))
    value = high if high != high else max(-low, high)
    if state is not None:
        _known[tensor] = (state, value)
    return value
