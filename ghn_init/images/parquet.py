"""Images in parquet files, in the layout of the Hugging Face Hub."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ghn_init.errors import DataError
from ghn_init.images.columns import choose_columns, encoded_image, label_tensor
from ghn_init.images.images import Images
from ghn_init.images.memory import records_into_memory
from ghn_init.images.optional import needed
from ghn_init.images.records import BadImageError, Encoded, Records
from ghn_init.images.request import Request
from ghn_init.images.splits import choose, of_file, usual

#: Where a folder in the Hub's layout has its files: train.parquet, data/train-*.parquet, config/train/0000.parquet.
_PATTERNS = ("*.parquet", "*/*.parquet", "*/*/*.parquet")


class ParquetRecords(Records):
    """The rows of parquet files, one file after another.

    In order they are read a row group at a time. Out of order they come from a copy of the encoded images in memory.

    Args:
        files: the files, all with the same columns.
        memory: bytes that the encoded images may take.

    Raises:
        DataError: a file is no parquet file, or lacks a column.
    """

    def __init__(self, files: Sequence[Path], memory: int) -> None:
        dataset = needed("pyarrow.dataset")
        self._memory = memory
        self._groups: list[Any] = []
        self._starts = [0]
        self._table: Any = None
        labels: list[Any] = []
        try:
            table = dataset.dataset([str(path) for path in files], format="parquet")
            self._columns = choose_columns(table.schema.names, _features(table.schema), files[0])
            for group in (group for file in table.get_fragments() for group in file.split_by_row_group()):
                self._groups.append(group)
                self._starts.append(self._starts[-1] + group.row_groups[0].num_rows)
            labels = table.to_table(columns=[self._columns.label]).column(0).to_pylist()
        except (OSError, ValueError, TypeError) as error:
            raise error if isinstance(error, DataError) else DataError(f"cannot read {files[0]}: {error}") from error
        self.names = self._columns.names
        self.labels = label_tensor(labels, files[0])

    def read(self, index: int) -> Encoded:
        """The image at `index`; the first call reads all encoded images.

        Raises:
            BadImageError: it is missing.
            DataError: the encoded images take more than the memory allowed.
        """
        if self._table is None:
            size = sum(part.total_byte_size for group in self._groups for part in group.row_groups)
            if size > self._memory:
                folder = Path(self._groups[0].path).parent
                raise DataError(
                    f"the files in {folder} take {size / 2**30:.3g} GiB, more than the {self._memory / 2**30:.3g} GiB "
                    f"of memory allowed: allow more, choose a smaller image_size so that the decoded images fit, or "
                    f"open hfds/{folder}, which works from a copy on the disk"
                )
            self._table = [self._cells(group) for group in self._groups]
        group = self._group(index)
        return self._encoded(self._table[group][index - self._starts[group]], group)

    def describe(self, index: int) -> str:
        """File and row in it."""
        group = self._group(index)
        path = self._groups[group].path
        first = next(start for part, start in zip(self._groups, self._starts, strict=False) if part.path == path)
        return f"{path}, row {index - first}"

    def stream(self, indices: Sequence[int]) -> Iterator[Encoded | BadImageError]:
        """The images at `indices`, which ascend, without holding more than a row group."""
        current, cells = -1, None
        for index in indices:
            group = self._group(index)
            if group != current:
                current, cells = group, self._cells(self._groups[group])
            try:
                yield self._encoded(cells[index - self._starts[group]], group)  # type: ignore[index]
            except BadImageError as error:
                yield error

    def _group(self, index: int) -> int:
        return bisect.bisect_right(self._starts, index) - 1

    def _cells(self, group: Any) -> Any:
        return group.to_table(columns=[self._columns.image]).column(0)

    def _encoded(self, cell: Any, group: int) -> Encoded:
        return encoded_image(cell.as_py(), Path(self._groups[group].path).parent)


def _features(schema: Any) -> dict[str, Any]:
    """What the `datasets` library has written into the schema."""
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features: dict[str, Any] = written.get("info", {}).get("features", {})
    return features


def parquet_files(folder: Path) -> Iterable[Path]:
    """The parquet files in `folder`, in the order of their names."""
    return sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})


def open_parquet(request: Request) -> ParquetRecords:
    """The split of a parquet file, or of a folder of such files.

    Raises:
        DataError: there is no such split, or it is there in several configurations.
    """
    path = request.path
    splits: dict[str, list[Path]] = {}
    for file in [path] if path.is_file() else parquet_files(path):
        splits.setdefault(of_file(file), []).append(file)
    if len(splits) == 1 and usual(*splits) is None:
        splits = {"train": next(iter(splits.values()))}
    files = splits[choose(splits, request.split, path)]
    folders = sorted({str(file.parent) for file in files})
    if len(folders) > 1:
        raise DataError(f"{path} has several configurations: choose one of {', '.join(folders)}")
    return ParquetRecords(files, request.memory)


def read_parquet(path: str | Path) -> Images:
    """Read a parquet file in the Hub's layout into memory: a column of encoded images, a column of labels.

    Raises:
        DataError: a column is missing, all images are bad, or they differ in size.
    """
    records = ParquetRecords([Path(path)], 2**63)
    return records_into_memory(records, torch.arange(len(records)), None, memory=2**63)
