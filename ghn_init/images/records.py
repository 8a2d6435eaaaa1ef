"""Labelled images that are not decoded yet."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image
from torch import Tensor

#: An image that `decode` understands: the bytes of an image file, the path of one, or an opened image.
Encoded: TypeAlias = bytes | Path | Image.Image


class BadImageError(Exception):
    """An image that cannot be used; the message says why."""


def label_problem(label: int, names: tuple[str, ...]) -> str | None:
    """Why an image cannot be used with this label; None if it can.

    Args:
        label: -1 where it is missing.
        names: the classes' names; empty if unknown.
    """
    if label < 0:
        return "it has no label"
    if names and label >= len(names):
        return f"label {label}, where there are {len(names)} classes"
    return None


class Records(abc.ABC):
    """Labelled images that can be read in any order.

    Attributes:
        names: the classes' names; empty if unknown.
        labels: int64, (images,); -1 where the label is missing.
    """

    names: tuple[str, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abc.abstractmethod
    def read(self, index: int) -> Encoded:
        """The image at `index`.

        Raises:
            BadImageError: it is missing or damaged.
        """

    @abc.abstractmethod
    def describe(self, index: int) -> str:
        """Where the image at `index` is, for people."""

    def stream(self, indices: Sequence[int]) -> Iterator[Encoded | BadImageError]:
        """The images at `indices`, which ascend; a bad one as the error that `read` raises."""
        for index in indices:
            try:
                yield self.read(index)
            except BadImageError as error:
                yield error


@dataclasses.dataclass(frozen=True)
class Stream:
    """Labelled images that can only be read one after another.

    Attributes:
        title: of the data set, for people.
        rows: image, or why it is bad, and label; -1 where the label is missing.
        names: the classes' names; empty if unknown.
    """

    title: str
    rows: Iterable[tuple[Encoded | BadImageError, int]]
    names: tuple[str, ...] = ()

    def describe(self, place: int) -> str:
        """Where an image is, for people."""
        return f"{self.title}, image {place}"
