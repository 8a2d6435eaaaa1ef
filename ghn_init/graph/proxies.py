"""Stand-ins for tensors in a symbolic trace, which unpack fast."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from torch import fx
from torch.fx.proxy import Attribute


class _Unpacking(fx.Proxy):
    """Its parent takes the caller's whole code apart each time that `a, b = proxy` is run: milliseconds for a layer."""

    def __iter__(self) -> Iterator[fx.Proxy]:
        caller = sys._getframe(1)
        count = _unpacked(caller.f_code).get(caller.f_lasti)
        if count is None:
            iterator: Iterator[fx.Proxy] = self.tracer.iter(self)
            return iterator
        return (self[index] for index in range(count))  # type: ignore[index]

    def __getattr__(self, name: str) -> Attribute:
        return UnpackingAttribute(self, name)


class UnpackingProxy(_Unpacking):
    """A value of the network."""


class UnpackingAttribute(_Unpacking, Attribute):
    """An attribute or method of a value, such as its shape."""


@lru_cache(maxsize=1024)
def _unpacked(code: CodeType) -> dict[Any, int]:
    """Into how many names each unpacking instruction of the code, by its place, puts a value."""
    instructions = dis.get_instructions(code)
    return {step.offset: step.argval for step in instructions if step.opname == "UNPACK_SEQUENCE"}
