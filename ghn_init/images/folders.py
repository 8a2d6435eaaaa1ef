"""Images in a folder a class."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from ghn_init.errors import DataError
from ghn_init.images.records import Encoded, Records
from ghn_init.images.request import Request
from ghn_init.images.splits import choose, usual


class FolderRecords(Records):
    """The image files below the folders of the classes.

    Args:
        folder: has the classes' folders.
        names: the classes.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        numbers = {name: number for number, name in enumerate(names)}
        found = make_dataset(folder, numbers, IMG_EXTENSIONS, allow_empty=True)
        self.names = names
        self.paths: list[str] = [path for path, _ in found]
        self.labels = torch.tensor([label for _, label in found], dtype=torch.int64)

    def read(self, index: int) -> Encoded:
        """The path."""
        return Path(self.paths[index])

    def describe(self, index: int) -> str:
        """The path."""
        return self.paths[index]


def open_folder(request: Request) -> FolderRecords:
    """The split of a folder with a folder a class, or with such folders in folders of splits.

    A folder without splits is all training split, unless its own name is that of another.

    Raises:
        DataError: there is no such split, no class, no image, or a class that the training split lacks.
    """
    root = request.path
    splits = {name: root / name for name in _subfolders(root) if usual(name)}
    if not splits:
        splits = {usual(root.resolve().name) or "train": root}
    folder = splits[choose(splits, request.split, root)]
    training = next((path for name, path in splits.items() if usual(name) == "train"), folder)
    names, present = _subfolders(training), _subfolders(folder)
    if unknown := set(present) - set(names):
        raise DataError(f"{folder} has classes that {training} has not: {', '.join(sorted(unknown))}")
    records = FolderRecords(folder, names) if names else None
    if records is None or not len(records):
        raise DataError(
            f"{folder} has no images in folders of classes, as in {folder / 'cat' / '1.jpg'}; file names must end with "
            f"{', '.join(IMG_EXTENSIONS)}"
        )
    return records


def _subfolders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
