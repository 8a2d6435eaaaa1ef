"""Data sets of torchvision, through `timm.data.create_dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ghn_init.errors import DataError
from ghn_init.images.columns import label_tensor
from ghn_init.images.decode import UNREADABLE
from ghn_init.images.records import BadImageError, Encoded, Records
from ghn_init.images.request import Request
from ghn_init.images.splits import choose

#: The names that timm gives to torchvision's splits; what is not for training is "validation".
_TORCHVISION_SPLITS = {"train": "train", "validation": "validation", "test": "validation"}


class TorchRecords(Records):
    """A torchvision data set of classified images.

    Labels come from its `targets`, or from its samples one by one where it has none.
    """

    def __init__(self, dataset: Any, title: str) -> None:
        self._dataset = dataset
        self._title = title
        targets = getattr(dataset, "targets", None)
        if targets is None:
            targets = [dataset[index][1] for index in range(len(dataset))]
        self.labels = label_tensor(torch.as_tensor(targets).tolist(), title)
        self.names = tuple(str(name) for name in getattr(dataset, "classes", ()))

    def read(self, index: int) -> Encoded:
        """The decoded image."""
        try:
            image: Encoded = self._dataset[index][0]
        except UNREADABLE as error:
            raise BadImageError(f"{type(error).__name__}: {error}") from error
        return image

    def describe(self, index: int) -> str:
        """Data set and place."""
        return f"{self._title}, image {index}"


def open_torch(request: Request) -> TorchRecords:
    """A torchvision data set that timm knows, downloaded on first use.

    Raises:
        DataError: there is no such data set or split, or it cannot be downloaded.
    """
    from timm.data import create_dataset

    title = f"torch/{request.name}"
    root = request.root or Path(torch.hub.get_dir()).parent / "datasets"
    split = _TORCHVISION_SPLITS[choose(_TORCHVISION_SPLITS, request.split, title)]
    try:
        root.mkdir(parents=True, exist_ok=True)
        dataset = create_dataset(title, root=str(root), split=split, download=True)
    except Exception as error:
        raise DataError(
            f"cannot open {title} in {root}: {error}. timm.data.create_dataset says which names there are; without a "
            f"connection, copy torchvision's files into that folder"
        ) from error
    return TorchRecords(dataset, title)
