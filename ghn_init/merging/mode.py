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
#: Methods with such names that change no numbers.
_HARMLESS = frozenset({"requires_grad_"})
#: Names of the attributes of tensors that share the memory of a whole copy of a merged one, and of the merged one.
_COPY, _COPIED = "_shares_whole_copy", "_has_whole_copy"


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
        """Calls `func` by its rule, or on whole tensors.

        Raises:
            MergingError: it would change a tensor that shares its memory, in the whole network, with another one that
                does not here.
        """
        kwargs = kwargs or {}
        for x in _changed(func, args, kwargs):
            if hasattr(x, _COPY) or hasattr(x, _COPIED):
                raise MergingError(f"{_name(func)} changes in place what is, or is seen by, a view of equal channels")
        rule = RULES.get(func)
        result = self.on_whole(func, *args, **kwargs) if rule is None else rule(self, func, *args, **kwargs)
        copies = [x for x in _tensors((args, list(kwargs.values()))) if hasattr(x, _COPY)]
        if copies:
            _sharing(result, copies)
        return result

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
        if not merged:
            return func(*args, **kwargs)
        if any(classes_of(x) is not None for x in _changed(func, args, kwargs)):
            raise MergingError(f"{_name(func)} changes in place a tensor whose equal channels are kept once")
        copies = {id(x): whole(x) for x in merged}
        args, kwargs = tree_map_only(Tensor, lambda x: copies.get(id(x), x), (args, kwargs))
        result = func(*args, **kwargs)
        for x in merged:
            if _sharing(result, [copies[id(x)]]):
                setattr(x, _COPIED, True)
        return result


def _name(func: Any) -> str:
    return getattr(func, "__name__", "")


def _changed(func: Any, args: Any, kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that `func` changes, as far as its name and arguments tell."""
    name = _name(func)
    changed = list(_tensors((kwargs.get("out"),)))
    by_name = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__") and name not in _HARMLESS)
    if by_name or kwargs.get("inplace"):
        changed += _tensors(args[:1])
    return changed


def _sharing(result: Any, copies: Iterable[Tensor]) -> bool:
    """Whether tensors of a result lie in the memory of one of `copies`; they are marked."""
    places = {x.untyped_storage().data_ptr() for x in copies}
    found = [x for x in _tensors((result,)) if x.untyped_storage().data_ptr() in places]
    for x in found:
        setattr(x, _COPY, True)
    return bool(found)


def _tensors(arguments: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments: torch's functions take them by themselves, in tuples and in lists."""
    for one in arguments:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (tuple, list)):
            yield from _tensors(one)
