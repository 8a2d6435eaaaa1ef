"""Running a network on the meta device: shapes and dtypes without numbers, wherever its parameters lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class MetaTwins:
    """Stand-ins on the meta device for a network's tensors, which stay as and where they are."""

    def __init__(self) -> None:
        self._twins: dict[int, tuple[Tensor, Tensor]] = {}  # with the original, so that its id stays its own

    def of(self, tree: Any) -> Any:
        """The tree with every tensor that has memory replaced by its twin, the same one each time."""
        if isinstance(tree, Tensor):
            return tree if tree.is_meta else self._twin(tree)
        if type(tree) in (tuple, list):
            return type(tree)([self.of(item) for item in tree])
        if type(tree) is dict:
            return {key: self.of(value) for key, value in tree.items()}
        return tree

    def _twin(self, tensor: Tensor) -> Tensor:
        found = self._twins.get(id(tensor))
        if found is None:
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
            found = self._twins[id(tensor)] = (tensor, twin)
        return found[1]


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a function on meta tensors.

    What torch does there for common operations takes milliseconds of Python; where the shape of the result is obvious,
    a tensor of that shape is all that is made.
    """
    if function in _FACTORIES:
        return function(*args, **{"device": "meta", **kwargs})
    shortcut = SHORTCUTS.get(function)
    if shortcut is not None:
        result = shortcut(*args, **kwargs)
        if result is not None:
            return result
    return function(*args, **kwargs)


def _like(tensor: Any, *_: Any, **__: Any) -> Tensor | None:
    if not _is_real(tensor):
        return None
    # empty_like takes a millisecond of Python
    plain = tensor.is_contiguous()
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta") if plain else torch.empty_like(tensor)


def _activation(input: Any, *_: Any, inplace: bool = False, **__: Any) -> Tensor | None:
    return None if inplace else _like(input)


def _relu(input: Any, inplace: bool = False) -> Tensor | None:
    return _activation(input, inplace=inplace)


def _dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor | None:
    return _activation(input, inplace=inplace)


def _pair(input: Any, other: Any, **options: Any) -> Tensor | None:
    if options:
        return None
    alike = isinstance(other, (int, float)) or (
        isinstance(other, Tensor) and other.shape == input.shape and other.dtype == input.dtype
    )
    return _like(input) if alike else None


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    fits = weight.dim() == 2 and input.dim() > 0 and input.shape[-1] == weight.shape[1] and input.dtype == weight.dtype
    if not fits or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return input.new_empty(*input.shape[:-1], weight.shape[0])


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    *_: Any,
    **__: Any,
) -> Tensor | None:
    enough = input.dim() > 1 and (not training or input.numel() > input.shape[1])
    return _like(input) if enough and _sized((running_mean, running_var, weight, bias), input.shape[1]) else None


def _group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor | None:
    enough = input.dim() > 2 and input.shape[1] % num_groups == 0 and math.prod(input.shape[2:]) > 1
    return _like(input) if enough and _sized((weight, bias), input.shape[1]) else None


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float | None = None,
) -> Tensor | None:
    shape = tuple(normalized_shape)
    fits = tuple(input.shape[-len(shape) :]) == shape
    own = all(tensor is None or tuple(tensor.shape) == shape for tensor in (weight, bias))
    return _like(input) if fits and own else None


def _attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, *_: Any, **__: Any) -> Tensor | None:
    leading = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    fits = leading and query.dim() > 2 and query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
    same = query.dtype == key.dtype == value.dtype
    return query.new_empty(*query.shape[:-1], value.shape[-1]) if fits and same and attn_mask is None else None


def _is_real(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.is_floating_point()


def _sized(tensors: Sequence[Tensor | None], size: int) -> bool:
    return all(tensor is None or tuple(tensor.shape) == (size,) for tensor in tensors)


#: What makes tensors of numbers, and has to make them without memory.
_FACTORIES = frozenset(
    {
        *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint, torch.randperm),
        *(torch.arange, torch.linspace, torch.logspace, torch.eye, torch.tensor, torch.tril_indices),
        *(torch.triu_indices, torch.hann_window, torch.hamming_window),
    }
)
#: What gives the result of a function, or None where its shape is not that obvious (and errors are torch's to raise).
SHORTCUTS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.group_norm: _group_norm,
    F.layer_norm: _layer_norm,
    F.scaled_dot_product_attention: _attention,
    F.relu: _relu,
    F.dropout: _dropout,
    F.gelu: _activation,
    **dict.fromkeys((torch.relu, Tensor.relu, torch.sigmoid, Tensor.sigmoid), _like),
    **dict.fromkeys((torch.add, Tensor.add, torch.mul, Tensor.mul, torch.sub, Tensor.sub), _pair),
}
