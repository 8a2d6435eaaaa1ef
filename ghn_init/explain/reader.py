"""Reading an object of a JSON file that anybody may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ghn_init.errors import CheckpointError
from ghn_init.explain.statistics import Array


class Reader:
    """Takes values out of a JSON object and says which is not what it must be.

    Args:
        data: the object.
        where: its place in the file, for messages.
    """

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where

    def wrong(self, key: str, wanted: str) -> CheckpointError:
        """The error that says what a value must be."""
        return CheckpointError(f"{self.where}: {key!r} must be {wanted}; fit the statistics anew.")

    def of(self, key: str, kind: type) -> Any:
        """A value of exactly this type."""
        value = self.data.get(key)
        if type(value) is not kind:
            raise self.wrong(key, f"there, of type {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        """A text."""
        return str(self.of(key, str))

    def whole(self, key: str) -> int:
        """A whole number, at least 0."""
        value = self.of(key, int)
        if value < 0:
            raise self.wrong(key, "a whole number")
        return int(value)

    def number(self, key: str) -> float:
        """A finite number."""
        value: Any = self.data.get(key)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.wrong(key, "a number")
        return float(value)

    def numbers(self, key: str, shape: tuple[int | None, ...]) -> Array:
        """An array of finite numbers; None stands for any length but 0."""
        wanted = f"numbers, {' x '.join('n' if size is None else str(size) for size in shape)}"
        try:
            array = np.array(self.of(key, list))
        except ValueError as error:  # lists of several lengths
            raise self.wrong(key, wanted) from error
        # texts and truth values would be converted without a word
        fits = array.dtype.kind in "iuf" and len(array.shape) == len(shape) and array.size > 0
        if not fits or any(size not in (None, own) for own, size in zip(array.shape, shape, strict=True)):
            raise self.wrong(key, wanted)
        if not np.isfinite(array).all():
            raise self.wrong(key, "finite numbers")
        return array.astype(np.float64)

    def ascending(self, key: str, length: int) -> Array:
        """So many numbers, each at least as large as the one before."""
        array = self.numbers(key, (length,))
        if (np.diff(array) < 0).any():
            raise self.wrong(key, "numbers in ascending order")
        return array

    def part(self, key: str) -> Reader:
        """An object within the object."""
        return Reader(self.of(key, dict), f"{self.where}, {key!r}")

    def parts(self, key: str) -> Sequence[tuple[str, Reader]]:
        """The members of an object or a list, which must be objects."""
        value = self.data.get(key)
        if not isinstance(value, (dict, list)) or not value:
            raise self.wrong(key, "there, and not empty")
        members = list(value.items() if isinstance(value, dict) else enumerate(value))
        for name, part in members:
            if not isinstance(part, dict):
                raise self.wrong(key, f"objects, which {name} is not")
        return [(str(name), Reader(part, f"{self.where}, {key} {name}")) for name, part in members]
