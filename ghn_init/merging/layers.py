"""What layers with repeated weights do with tensors of which equal channels are kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F

from ghn_init.merging.classes import Classes
from ghn_init.merging.tensors import classes_of, marked, reduced, whole

if TYPE_CHECKING:
    from ghn_init.merging.mode import Merged

#: What an operation does with tensors that keep equal channels once: of the context, torch's function and its arguments
#: it makes the result.
Rule = Callable[..., Any]


def _matrix(
    mode: Merged, func: Any, /, x: Tensor, weight: Tensor, bias: Tensor | None, numbers: tuple[Any, ...] = ()
) -> Any:
    """A layer of which each output reads all inputs."""
    periods = mode.periods(weight)
    if periods is None:
        return mode.on_whole(func, x, weight, bias, *numbers)
    columns = classes_of(x)
    if columns is not None and (columns.size != weight.shape[1] or not columns.fits(periods[1])):
        x, columns = whole(x), None
    rows = _with(Classes.repeated(weight.shape[0], periods[0]), bias, mode)
    result = func(x, reduced(weight, rows, columns), None if bias is None else reduced(bias, rows), *numbers)
    return marked(result, rows)


def _linear(mode: Merged, func: Any, /, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if input.dim() != 2:  # the channels of others are not along their last dimension
        return mode.on_whole(func, input, weight, bias)
    return _matrix(mode, func, input, weight, bias)


def _conv2d(
    mode: Merged,
    func: Any,
    /,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if input.dim() != 4:
        return mode.on_whole(func, input, weight, bias, stride, padding, dilation, groups)
    if groups == 1:
        return _matrix(mode, func, input, weight, bias, (stride, padding, dilation, groups))
    classes, periods = classes_of(input), mode.periods(weight)
    depthwise = classes is not None and groups == classes.size == len(weight)
    if not depthwise or classes is None or periods is None or not classes.fits(periods[0]):
        return mode.on_whole(func, input, weight, bias, stride, padding, dilation, groups)
    if _with(classes, bias, mode) != classes:
        return mode.on_whole(func, input, weight, bias, stride, padding, dilation, groups)
    kernel, offset = reduced(weight, classes), None if bias is None else reduced(bias, classes)
    return marked(func(input, kernel, offset, stride, padding, dilation, classes.count), classes)


def _batch_norm(
    mode: Merged,
    func: Any,
    /,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    classes = classes_of(input)
    rest = (training, momentum, eps)
    known = classes is not None and running_mean is None and running_var is None
    if not known or classes is None or any(_with(classes, one, mode) != classes for one in (weight, bias)):
        return mode.on_whole(func, input, running_mean, running_var, weight, bias, *rest)
    factor, offset = (None if one is None else reduced(one, classes) for one in (weight, bias))
    return marked(func(input, None, None, factor, offset, *rest), classes)


def _with(classes: Classes, vector: Tensor | None, mode: Merged) -> Classes:
    """`classes` where a vector, if there is one, has the same number for equal channels; else none are equal."""
    if vector is None:
        return classes
    periods = mode.periods(vector)
    fits = periods is not None and classes.fits(periods[0])
    return classes if fits else Classes.distinct(classes.size)


#: The rule of each layer, by torch's function.
LAYERS: dict[Any, Rule] = {F.linear: _linear, F.conv2d: _conv2d, F.batch_norm: _batch_norm}
