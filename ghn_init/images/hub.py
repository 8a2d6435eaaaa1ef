"""Data sets of the Hugging Face Hub, through the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ghn_init.errors import DataError
from ghn_init.images.columns import Columns, choose_columns, encoded_image, label_tensor
from ghn_init.images.optional import needed
from ghn_init.images.records import BadImageError, Encoded, Records, Stream
from ghn_init.images.request import Request
from ghn_init.images.splits import choose

#: Files that `Dataset.save_to_disk` and `DatasetDict.save_to_disk` write.
_SAVED = ("state.json", "dataset_dict.json")


class HubRecords(Records):
    """The rows of a `datasets.Dataset`, which lies on the disk.

    Raises:
        DataError: it lacks a column.
    """

    def __init__(self, dataset: Any, title: str) -> None:
        columns = _columns(dataset, title)
        self._title = title
        self._column = columns.image
        self._images = _undecoded(dataset, columns).select_columns([columns.image])
        self.names = columns.names
        self.labels = label_tensor(list(dataset[columns.label]), title)

    def read(self, index: int) -> Encoded:
        """The bytes, or the path, of a row's image."""
        return encoded_image(self._images[index][self._column], Path())

    def describe(self, index: int) -> str:
        """Data set and row."""
        return f"{self._title}, row {index}"


def _columns(dataset: Any, title: str) -> Columns:
    return choose_columns(list(dataset.features), dataset.features.to_dict(), title)


def _undecoded(dataset: Any, columns: Columns) -> Any:
    return dataset.cast_column(columns.image, needed("datasets").Image(decode=False))


def is_saved(folder: Path) -> bool:
    """Whether the `datasets` library has saved a data set in `folder`."""
    return any((folder / name).is_file() for name in _SAVED)


def open_hub(request: Request) -> HubRecords:
    """A data set of the Hub (`user/name`, or `user/name:configuration`), or a folder that the library can read.

    Raises:
        DataError: there is no such data set or split, or no way to it.
    """
    datasets = needed("datasets")
    title = f"hfds/{request.name}"
    try:
        if is_saved(request.path):
            saved = datasets.load_from_disk(str(request.path))
            splits = saved if isinstance(saved, dict) else {str(saved.split or "train"): saved}
            return HubRecords(splits[choose(splits, request.split, title)], title)
        return HubRecords(_load(request, title, streaming=False), title)
    except Exception as error:
        raise _explained(error, title) from error


def open_hub_stream(request: Request) -> Stream:
    """Like `open_hub`, but nothing is stored on the disk, and the images come one after another."""
    needed("datasets")
    title = f"hfids/{request.name}"
    try:
        dataset = _load(request, title, streaming=True)
        if dataset.features is None:
            raise DataError(f"{title} does not say which columns it has: open hfds/{request.name} instead")
        columns = _columns(dataset, title)
        return Stream(title, _rows(_undecoded(dataset, columns), columns, title), columns.names)
    except Exception as error:
        raise _explained(error, title) from error


def _load(request: Request, title: str, *, streaming: bool) -> Any:
    datasets = needed("datasets")
    local = request.path.exists()
    path, _, config = (str(request.path), "", "") if local else request.name.partition(":")
    split = choose(datasets.get_dataset_split_names(path, config or None), request.split, title)
    cache = None if request.root is None else str(request.root)
    return datasets.load_dataset(path, config or None, split=split, cache_dir=cache, streaming=streaming)


def _rows(dataset: Any, columns: Columns, title: str) -> Iterator[tuple[Encoded | BadImageError, int]]:
    try:
        for row in dataset:
            label = int(label_tensor([row[columns.label]], title))
            try:
                yield encoded_image(row[columns.image], Path()), label
            except BadImageError as error:
                yield error, label
    except Exception as error:
        raise _explained(error, title) from error


def _explained(error: Exception, title: str) -> DataError:
    """What the `datasets` library raised, with what can be done about it."""
    if isinstance(error, DataError):
        return error
    missing = needed("datasets.exceptions").DatasetNotFoundError
    hints = (
        (missing, "check the name, as in hfds/user/name; for a private data set log in with `hf auth login`"),
        (ConnectionError, "without a connection, copy the data set's parquet files here and give their folder"),
        (Exception, "a configuration is chosen as in hfds/user/name:configuration"),
    )
    hint = next(hint for kind, hint in hints if isinstance(error, kind))
    return DataError(f"cannot open {title}: {error}; {hint}")
