"""Images in a tar file."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS

from ghn_init.errors import DataError
from ghn_init.images.records import BadImageError, Encoded, Records
from ghn_init.images.request import Request
from ghn_init.images.splits import choose, usual


class TarRecords(Records):
    """The image files in an uncompressed tar file, which is not unpacked; a file's folder is its class.

    Raises:
        DataError: it is no such file, or has no images.
    """

    def __init__(self, path: Path) -> None:
        try:
            with tarfile.open(path, "r:") as tar:
                files = sorted((item for item in tar if item.isfile()), key=lambda item: item.name)
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"cannot read {path}: {error}; a compressed tar file must be unpacked first") from error
        self._path = path
        self._files = [item for item in files if PurePosixPath(item.name).suffix.lower() in IMG_EXTENSIONS]
        if not self._files:
            raise DataError(f"{path} has no files ending with {', '.join(IMG_EXTENSIONS)}")
        classes = [PurePosixPath(item.name).parent.name for item in self._files]
        self.names = tuple(sorted(set(classes)))
        numbers = {name: number for number, name in enumerate(self.names)}
        self.labels = torch.tensor([numbers[name] for name in classes])

    def read(self, index: int) -> Encoded:
        """The bytes of a file."""
        item = self._files[index]
        try:
            with self._path.open("rb") as file:
                file.seek(item.offset_data)
                return file.read(item.size)
        except OSError as error:
            raise BadImageError(str(error)) from error

    def describe(self, index: int) -> str:
        """Tar file and name in it."""
        return f"{self._path}, {self._files[index].name}"


def open_tar(request: Request) -> TarRecords:
    """A tar file, which is one split: the training split, unless its name is that of another.

    Raises:
        DataError: it cannot be read, or another split is asked for.
    """
    choose([usual(request.path.stem) or "train"], request.split, request.path)
    return TarRecords(request.path)
