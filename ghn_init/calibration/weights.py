"""Which parameter a tensor's values are linear in."""

from __future__ import annotations

import bisect
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_ATEN = torch.ops.aten

#: Operations whose result is linear in one of their arguments if the others stay as they are: the places where that
#: argument may be, and those that must be empty then (an offset would make it affine).
LINEAR: Mapping[Any, tuple[tuple[int, ...], tuple[int, ...]]] = {
    _ATEN.clone.default: ((0,), ()),
    _ATEN._to_copy.default: ((0,), ()),
    _ATEN.mul.Tensor: ((0, 1), ()),
    _ATEN.mul.Scalar: ((0,), ()),
    _ATEN.div.Tensor: ((0,), ()),
    _ATEN.div.Scalar: ((0,), ()),
    _ATEN.neg.default: ((0,), ()),
    _ATEN.repeat.default: ((0,), ()),
    _ATEN.constant_pad_nd.default: ((0,), ()),
    _ATEN._weight_norm_interface.default: ((1,), ()),
    # a weight standardised as if it were data is linear in the gain alone
    _ATEN.native_batch_norm.default: ((1,), (2,)),
    _ATEN.cudnn_batch_norm.default: ((1,), (2,)),
    _ATEN.native_layer_norm.default: ((2,), (3,)),
}


class Weights:
    """Finds the parameter behind a tensor: itself, a view of it, or what linear operations on weights alone made of it.

    Tensors are told apart by memory, since views are new objects: parameters by their addresses, which they keep,
    others by their storage as long as that lives.

    Attributes:
        behind: for each gain, the weights that it scales once they are normalised.
    """

    def __init__(self, module: nn.Module) -> None:
        self._ranges: dict[torch.device, list[tuple[int, int, str]]] = {}
        for name, parameter in module.named_parameters():
            if parameter.numel():
                start = parameter.data_ptr()
                self._ranges.setdefault(parameter.device, []).append((start, start + _extent(parameter), name))
        for ranges in self._ranges.values():
            ranges.sort()
        self.behind: dict[str, set[str]] = {}
        self._made: dict[int, tuple[Callable[[], Any], str, bool]] = {}

    def parameter(self, value: Any) -> str | None:
        """Name of the parameter that a tensor is linear in, without any data having gone into it; None for others."""
        if not isinstance(value, Tensor) or not value.numel():
            return None
        ranges, address = self._ranges.get(value.device, []), value.data_ptr()
        place = bisect.bisect_right(ranges, address, key=lambda item: item[0]) - 1
        if place >= 0 and address < ranges[place][1]:
            return ranges[place][2]
        return self._made_of(value, data=False)

    def kernel_of(self, value: Any) -> str | None:
        """Name of the parameter whose product with data a tensor is; None for others."""
        return self._made_of(value, data=True) if isinstance(value, Tensor) else None

    def derive(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        """Takes note of an operation, if it is a linear one on nothing but weights."""
        places, empty = LINEAR.get(func, ((), ()))
        if any(place < len(args) and args[place] is not None for place in empty):
            return
        of = {place: self.parameter(argument) for place, argument in enumerate(args) if isinstance(argument, Tensor)}
        name = next((of[place] for place in places if of.get(place)), None)
        if name is not None and all(of.values()):
            self.behind.setdefault(name, set()).update(other for other in of.values() if other and other != name)
            self.note(result[0] if isinstance(result, tuple) else result, name, data=False)

    def note(self, tensor: Tensor, name: str, *, data: bool) -> None:
        """Takes note that a tensor is linear in a parameter; `data` if it is its product with data."""
        storage = tensor.untyped_storage()
        self._made[storage._cdata] = (weakref.ref(storage), name, data)

    def _made_of(self, value: Tensor, *, data: bool) -> str | None:
        storage = value.untyped_storage()
        alive, name, of_data = self._made.get(storage._cdata, (lambda: None, "", data))
        return name if alive() is storage and of_data is data else None


def _extent(tensor: Tensor) -> int:
    """Bytes from a tensor's first element to the end of its last."""
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (steps + 1) * tensor.element_size()
