"""Making a network on the meta device without the work of drawing its initial values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

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


class Valueless(TorchFunctionMode):
    """A context in which tensors on the meta device are not filled: torch takes milliseconds of Python for each.

    With ``torch.device("meta")`` around it, a module's constructor makes shapes and nothing else.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, unless it would only fill a tensor without memory."""
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        if func in _FILLING and isinstance(target, Tensor) and target.is_meta:
            return target
        return func(*args, **kwargs)
