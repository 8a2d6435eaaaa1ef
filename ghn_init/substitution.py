"""Other functions in the place of torch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch.overrides import TorchFunctionMode

#: What is called in the place of a function of torch, with its arguments.
Substitutes: TypeAlias = Mapping[Any, Callable[..., Any]]


class Substituted(TorchFunctionMode):
    """A context in which some functions of torch are others, called from a layer or from a network's own code.

    A substitute calls torch's own functions: the context does not hold inside it.
    """

    def __init__(self, substitutes: Substitutes) -> None:
        super().__init__()
        self._substitutes = substitutes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls `func`, or what stands in for it."""
        return self._substitutes.get(func, func)(*args, **(kwargs or {}))
