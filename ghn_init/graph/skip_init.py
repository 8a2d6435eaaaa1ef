"""Making a network on the meta device without the work of drawing its initial values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import init

from ghn_init.substitution import Substituted

#: What only changes a tensor's numbers, its first argument's.
_FILLING: frozenset[Callable[..., Any]] = frozenset(
    {
        *(Tensor.zero_, Tensor.fill_, Tensor.copy_, Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_),
        *(Tensor.trunc_, Tensor.clamp_, Tensor.clamp_min_, Tensor.clamp_max_, Tensor.erfinv_),
        *(Tensor.add_, Tensor.sub_, Tensor.mul_, Tensor.div_, Tensor.random_, Tensor.fill_diagonal_),
        *(init.uniform_, init.normal_, init.trunc_normal_, init.constant_, init.ones_, init.zeros_),
        *(init.xavier_uniform_, init.xavier_normal_, init.kaiming_uniform_, init.kaiming_normal_),
    }
)


def _filled(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    target = args[0] if args else kwargs.get("tensor")
    without_memory = isinstance(target, Tensor) and target.is_meta
    return target if without_memory else function(*args, **kwargs)


def skip_init() -> Substituted:
    """A context in which tensors on the meta device are not filled: torch takes milliseconds of Python for each.

    With ``torch.device("meta")`` around it, a module's constructor makes shapes and nothing else.
    """
    return Substituted({function: functools.partial(_filled, function) for function in _FILLING})
