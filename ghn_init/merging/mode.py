"""A context in which equal channels are computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from ghn_init.errors import MergingError
from ghn_init.merging.rules import RULES
from ghn_init.merging.tensors import classes_of, whole

#: Methods that change their tensor, beside those whose names end in an underscore.
_IN_PLACE = frozenset({"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__set__", "__delete__"})


class Merged(TorchFunctionMode):
    """While a network runs inside it, channels that are equal since weights are repeated are computed once.

    Operations that have a rule (`ghn_init.merging.rules`) work on tensors that keep equal channels once; all others
    get, and shapes are told of, whole tensors. What a network returns must go through `whole`.

    Args:
        periods: of weights, as the tensors that the network uses, after how many numbers they repeat along the first
            dimension and along the second one (`ghn_init.hypernet.targets.Target.periods`).

    Raises:
        MergingError: in the network's forward pass; it must be run again without this.
    """

    def __init__(self, periods: Iterable[tuple[Tensor, tuple[int, int]]]) -> None:
        super().__init__()
        self._weights = {id(weight): (weight, found) for weight, found in periods}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls `func` by its rule, or on whole tensors."""
        kwargs = kwargs or {}
        rule = RULES.get(func)
        if rule is not None:
            return rule(self, func, *args, **kwargs)
        return self.on_whole(func, *args, **kwargs)

    def periods(self, weight: Tensor) -> tuple[int, int] | None:
        """After how many numbers a weight repeats, where that is known."""
        known = self._weights.get(id(weight))
        return None if known is None else known[1]

    def on_whole(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls `func` on whole tensors.

        Raises:
            MergingError: it would change one that is not whole.
        """
        merged = [x for x in _tensors((args, list(kwargs.values()))) if classes_of(x) is not None]
        if merged:
            name = getattr(func, "__name__", "")
            changes = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
            if changes and merged[0] is args[0]:
                raise MergingError(f"{name} changes in place a tensor whose equal channels are kept once")
            args, kwargs = tree_map_only(Tensor, whole, (args, kwargs))
        return func(*args, **kwargs)


def _tensors(arguments: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments: torch's functions take them by themselves, in tuples and in lists."""
    for one in arguments:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (tuple, list)):
            yield from _tensors(one)
