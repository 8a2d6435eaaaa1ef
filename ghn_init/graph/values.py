"""Answers to questions about values, for tensors that have none.

A run on fake tensors stops where the network's code asks which elements are above a threshold, or what number a tensor
holds: detectors filter boxes, mixtures of experts route tokens. Which layers run rarely depends on the answer, as long
as something is left to run them on. So masks choose every element, all values are equal, a truth is false, a number is
one, and of boxes that overlap the first suppresses all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its operations)
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorDeviceMismatchError,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_aten = torch.ops.aten


class WithoutValues(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stands in where `FakeTensorMode`, entered before, cannot know a result's shape or value.

    Besides, it lets modules on the meta device mix their parameters with tensors that they keep in plain attributes,
    which are still on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs `func`, or gives an answer for it."""
        kwargs = kwargs or {}
        if func in _ANSWERS_AT_ONCE:
            return _ANSWERS_AT_ONCE[func](*args, **kwargs)
        try:
            return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            answer = _ANSWERS.get(func)
            if answer is None:
                raise
            return answer(*args, **kwargs)
        except FakeTensorDeviceMismatchError:
            if not any(isinstance(leaf, torch.Tensor) and leaf.is_meta for leaf in tree_leaves((args, kwargs))):
                raise
            args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
            return func(*args, **kwargs)


def _nonzero(mask: torch.Tensor) -> torch.Tensor:
    return mask.new_empty((mask.numel(), mask.dim()), dtype=torch.int64)


def _index(tensor: torch.Tensor, indices: list[torch.Tensor | None]) -> torch.Tensor:
    plain: list[torch.Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            plain.extend(_nonzero(index).unbind(1))
        else:
            plain.append(index)
    result: torch.Tensor = _aten.index.Tensor(tensor, plain)
    return result


def _masked_select(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor + mask, dtype=tensor.dtype).reshape(-1)


def _unique(tensor: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts = tensor.new_empty(1, dtype=torch.int64)
    return tensor.new_empty(1), tensor.new_empty(tensor.shape, dtype=torch.int64), counts


def _not_suppressed(boxes: torch.Tensor, *_: Any) -> torch.Tensor:
    return boxes.new_empty(min(len(boxes), 1), dtype=torch.int64)


def _number(tensor: torch.Tensor) -> bool | int | float:
    if tensor.dtype == torch.bool:
        return False
    return 1.0 if tensor.is_floating_point() else 1


_ANSWERS: dict[Any, Callable[..., Any]] = {
    _aten.nonzero.default: _nonzero,
    _aten.index.Tensor: _index,
    _aten.masked_select.default: _masked_select,
    _aten._unique2.default: _unique,
    _aten._local_scalar_dense.default: _number,
}
#: Without asking the fake tensors first, which would warn.
_ANSWERS_AT_ONCE: dict[Any, Callable[..., Any]] = {torch.ops.torchvision.nms.default: _not_suppressed}
