"""What operations without weights do with tensors of which equal channels are kept once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ghn_init.merging.classes import Classes, refined
from ghn_init.merging.layers import LAYERS, Rule
from ghn_init.merging.tensors import classes_of, marked, regrouped

if TYPE_CHECKING:
    from ghn_init.merging.mode import Merged


def _each_channel(mode: Merged, func: Any, /, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Does the same to each channel by itself, with numbers as its other arguments."""
    classes = classes_of(x)
    result = func(x, *args, **kwargs)
    return result if classes is None else marked(result, classes)


def _over_image(mode: Merged, func: Any, /, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Does the same to the image of each channel."""
    return _each_channel(mode, func, x, *args, **kwargs) if x.dim() == 4 else mode.on_whole(func, x, *args, **kwargs)


def _asked(mode: Merged, func: Any, /, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Tells something that does not depend on how many channels there are."""
    return func(x, *args, **kwargs)


def _shape(mode: Merged, func: Any, /, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    classes = classes_of(x)
    if classes is None:
        return func(x, *args, **kwargs)
    shape = torch.Size([x.shape[0], classes.size, *x.shape[2:]])
    asked = args or tuple(kwargs.values())
    return shape[asked[0]] if func is Tensor.size and asked and asked[0] is not None else shape


def _dropout(
    mode: Merged, func: Any, /, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Any:
    if training:  # equal channels do not stay equal
        return mode.on_whole(func, x, p=p, training=training, inplace=inplace)
    return _each_channel(mode, func, x, p, training, inplace)


def _pad(mode: Merged, func: Any, /, x: Tensor, pad: Any, *args: Any, **kwargs: Any) -> Any:
    apart = len(pad) <= 2 * (x.dim() - 2)
    return _each_channel(mode, func, x, pad, *args, **kwargs) if apart else mode.on_whole(func, x, pad, *args, **kwargs)


def _item(mode: Merged, func: Any, /, x: Tensor, index: Any) -> Any:
    """Slices of what comes after the channels, and new dimensions there."""
    leading = index[:2] if isinstance(index, tuple) else ()
    apart = leading == (slice(None), slice(None)) and all(
        one is None or one is Ellipsis or isinstance(one, slice) for one in index[2:]
    )
    return _each_channel(mode, func, x, index) if apart else mode.on_whole(func, x, index)


def _over_places(mode: Merged, func: Any, /, x: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """Reduces dimensions after the channels'."""
    dims = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    apart = bool(dims) and all(one % x.dim() >= 2 for one in dims)
    return (
        _each_channel(mode, func, x, dim, keepdim, **kwargs)
        if apart
        else mode.on_whole(func, x, dim, keepdim, **kwargs)
    )


def _flatten(mode: Merged, func: Any, /, x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    classes = classes_of(x)
    if classes is None or start_dim != 1 or end_dim % x.dim() != x.dim() - 1:
        return mode.on_whole(func, x, start_dim, end_dim)
    return marked(func(x, start_dim, end_dim), classes.spread(math.prod(x.shape[2:])))


def _cat(mode: Merged, func: Any, /, tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    if kwargs or dim != 1 or all(classes_of(x) is None for x in tensors):
        return mode.on_whole(func, tensors, dim, **kwargs)
    classes = Classes.joined(classes_of(x) or Classes.distinct(x.shape[1]) for x in tensors)
    return marked(func(tensors, dim), classes)


def _both(mode: Merged, func: Any, /, x: Any, y: Any, **kwargs: Any) -> Any:
    """Does the same to each channel of two tensors, or of one and a number."""
    mine, others = _classes(x), _classes(y)
    if mine is None or others is None:
        single = y if mine is not None else x
        alone = not isinstance(single, Tensor) or single.dim() == 0
        known = mine or others
        return marked(func(x, y, **kwargs), known) if alone and known else mode.on_whole(func, x, y, **kwargs)
    if x.dim() != y.dim() or mine.size != others.size:
        return mode.on_whole(func, x, y, **kwargs)
    common = refined(mine, others)
    if common.all_distinct or (func in _INTO_FIRST and common != mine):
        return mode.on_whole(func, x, y, **kwargs)
    return marked(func(regrouped(x, mine, common), regrouped(y, others, common), **kwargs), common)


def _classes(x: Any) -> Classes | None:
    return classes_of(x) if isinstance(x, Tensor) else None


#: Operations of `_both` that change their first tensor.
_INTO_FIRST = frozenset({Tensor.__iadd__, Tensor.add_, Tensor.__imul__, Tensor.mul_, Tensor.__isub__, Tensor.sub_})

_EACH_CHANNEL = (
    *(F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.hardtanh, F.silu, F.gelu, F.elu, F.leaky_relu, F.softplus, F.mish),
    *(torch.relu, torch.relu_, torch.sigmoid, torch.tanh, torch.clone, torch.neg),
    *(
        Tensor.relu,
        Tensor.relu_,
        Tensor.sigmoid,
        Tensor.tanh,
        Tensor.clone,
        Tensor.neg,
        Tensor.contiguous,
        Tensor.float,
    ),
)
_OVER_IMAGE = (
    *(F.max_pool2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.interpolate),
)
_ASKED = (
    *(Tensor.dim, Tensor.is_contiguous, Tensor.is_floating_point, torch.is_floating_point, Tensor.requires_grad_),
    *(getattr(Tensor, name).__get__ for name in ("ndim", "dtype", "device", "requires_grad", "is_cuda", "is_meta")),
)
_BOTH = (
    *(torch.add, torch.sub, torch.mul, Tensor.add, Tensor.sub, Tensor.mul, *_INTO_FIRST),
    *(Tensor.__add__, Tensor.__radd__, Tensor.__sub__, Tensor.__rsub__, Tensor.__mul__, Tensor.__rmul__),
    *(Tensor.div, torch.div, Tensor.__truediv__),
)

#: The rule of each operation that has one, by torch's function.
RULES: dict[Any, Rule] = {
    **LAYERS,
    **dict.fromkeys(_EACH_CHANNEL, _each_channel),
    **dict.fromkeys(_OVER_IMAGE, _over_image),
    **dict.fromkeys(_ASKED, _asked),
    **dict.fromkeys(_BOTH, _both),
    **dict.fromkeys((Tensor.shape.__get__, Tensor.size), _shape),  # type: ignore[attr-defined]
    **dict.fromkeys((torch.cat, torch.concat), _cat),
    **dict.fromkeys((torch.mean, Tensor.mean, torch.sum, Tensor.sum, torch.amax, Tensor.amax), _over_places),
    **dict.fromkeys((torch.flatten, Tensor.flatten), _flatten),
    F.dropout: _dropout,
    F.pad: _pad,
    Tensor.__getitem__: _item,
}
