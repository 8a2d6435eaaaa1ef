"""Which columns of a table hold the images and the labels, and what is in their cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghn_init.errors import DataError
from ghn_init.images.decode import image_path
from ghn_init.images.records import BadImageError, Encoded

#: Usual names, the most telling first.
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label", "labels")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the columns of images and labels, and of the classes (empty if unknown)."""

    image: str
    label: str
    names: tuple[str, ...] = ()


def choose_columns(columns: Sequence[str], features: Mapping[str, Any], where: object) -> Columns:
    """The columns with one of the usual names, or the only ones that are declared to hold images and classes.

    Args:
        columns: all names.
        features: by name, what the `datasets` library says of a column, as JSON types; may be empty.
        where: the data set, for people.

    Raises:
        DataError: a column cannot be found.
    """
    found = {}
    for kind, usual, declared in (("images", IMAGE_COLUMNS, "Image"), ("labels", LABEL_COLUMNS, "ClassLabel")):
        named = [name for name in usual if name in columns]
        typed = [name for name in columns if _feature(features, name).get("_type") == declared]
        if not named and len(typed) != 1:
            raise DataError(
                f"{where} has columns {list(columns)}; {kind} are looked for in {' or '.join(map(repr, usual))}, or in "
                f"the only column declared as {declared}: rename yours"
            )
        found[kind] = (named or typed)[0]
    names = _feature(features, found["labels"]).get("names") or ()
    return Columns(found["images"], found["labels"], tuple(names))


def _feature(features: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    feature = features.get(name)
    return feature if isinstance(feature, Mapping) else {}


def encoded_image(cell: Any, folder: Path) -> Encoded:
    """The image in a cell: bytes of a file, a path relative to `folder`, or a mapping with `bytes` and `path`.

    Raises:
        BadImageError: there is none.
    """
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        return image_path(cell, folder)
    if not isinstance(cell, bytes):
        raise BadImageError("there is no image")
    return cell


def label_tensor(labels: Sequence[Any], where: object) -> Tensor:
    """Labels as int64, missing ones as -1.

    Raises:
        DataError: they are no integers.
    """
    for label in labels:
        if label is not None and not isinstance(label, int):
            raise DataError(
                f"{where}: labels must be class numbers, not {label!r}; `datasets.Dataset.class_encode_column` turns "
                f"text into numbers"
            )
    return torch.tensor([-1 if label is None else label for label in labels], dtype=torch.int64).clamp_(min=-1)
