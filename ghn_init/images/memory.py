"""Decoding a data set into memory, once."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ghn_init.errors import DataError
from ghn_init.images.decode import Pixels, available_cores, decode_all
from ghn_init.images.images import Images
from ghn_init.images.records import BadImageError, Encoded, Records, Stream, label_problem

logger = logging.getLogger(__name__)

#: Called with the images read so far and, where it is known, their number.
Progress: TypeAlias = Callable[[int, "int | None"], object]

_CHUNK = 512


@dataclasses.dataclass(frozen=True)
class _Row:
    encoded: Encoded | BadImageError
    label: int
    where: Callable[[], str]


def stack(pixels: Sequence[Pixels]) -> Tensor:
    """Images uint8 (h, w, 3) of one size to one tensor (n, 3, h, w)."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


def records_into_memory(
    records: Records,
    indices: Tensor,
    size: int | None,
    *,
    memory: int,
    skipped: int = 0,
    progress: Progress | None = None,
) -> Images:
    """Decode the records at `indices`.

    Args:
        records: the images.
        indices: int64, ascending: which of them.
        size: height and width to bring them to; None if they have one size.
        memory: bytes that the pixels may take.
        skipped: records that were left out before, for want of a label.
        progress: told how far it is.

    Raises:
        DataError: they do not fit, all are bad, or they differ in size.
    """
    chosen = indices.tolist()
    rows = (
        _Row(encoded, int(records.labels[index]), _describe(records, index))
        for index, encoded in zip(chosen, records.stream(chosen), strict=True)
    )
    return _Filling(records.names, size, len(chosen), memory, skipped, progress).fill(rows)


def stream_into_memory(
    stream: Stream, size: int | None, *, limit: int | None, memory: int, progress: Progress | None = None
) -> Images:
    """Decode the first `limit` images of `stream`, or all; otherwise like `records_into_memory`."""
    rows = (
        _Row(encoded, label, _describe(stream, place))
        for place, (encoded, label) in enumerate(itertools.islice(stream.rows, limit))
    )
    return _Filling(stream.names, size, limit, memory, 0, progress).fill(rows)


def _describe(source: Records | Stream, index: int) -> Callable[[], str]:
    return lambda: source.describe(index)


class _Filling:
    """A tensor that images are decoded into; made when the first good one tells the size."""

    def __init__(
        self,
        names: tuple[str, ...],
        size: int | None,
        total: int | None,
        memory: int,
        skipped: int,
        progress: Progress | None,
    ) -> None:
        self.names = names
        self.size = size
        self.total = total
        self.memory = memory
        self.skipped = skipped
        self.progress = progress
        self.labels: list[int] = []
        self.pixels = torch.empty(0, dtype=torch.uint8)

    def fill(self, rows: Iterator[_Row]) -> Images:
        workers = available_cores()
        done, before = 0, self.skipped
        while chunk := list(itertools.islice(rows, _CHUNK)):
            decoded = decode_all((row.encoded for row in chunk), self.size, workers)
            good: list[Pixels] = []
            for row, result in zip(chunk, decoded, strict=True):
                reason = result if isinstance(result, BadImageError) else label_problem(row.label, self.names)
                if reason is not None:
                    self.skipped += 1
                    logger.warning("skipped %s: %s", row.where(), reason)
                elif not isinstance(result, BadImageError):
                    self._check_size(result, row)
                    good.append(result)
                    self.labels.append(row.label)
            if good:
                self._append(stack(good))
            done += len(chunk)
            if self.progress is not None:
                self.progress(done, self.total)
        if not self.labels:
            raise DataError(f"not one good image among {done + before}; the log says why each was skipped")
        logger.info("%d images of %dx%d in memory, %d skipped", len(self.labels), *self.pixels.shape[2:], self.skipped)
        # what was kept free for bad images goes
        pixels = self.pixels[: len(self.labels)]
        pixels = pixels if len(pixels) == len(self.pixels) else pixels.clone()
        return Images(pixels, torch.tensor(self.labels), names=self.names, skipped=self.skipped)

    def _check_size(self, image: Pixels, row: _Row) -> None:
        if not len(self.pixels):
            self._allocate(*image.shape[:2])
        height, width = self.pixels.shape[2:]
        if image.shape[:2] != (height, width):
            raise DataError(
                f"{row.where()} is {image.shape[0]}x{image.shape[1]}, others are {height}x{width}: the images "
                f"differ in size, say the image_size that all are to be brought to"
            )

    def _allocate(self, height: int, width: int) -> None:
        room = self.memory // (3 * height * width)
        if self.total is not None and self.total > room:
            raise self._too_large(f"{self.total} images of {height}x{width}")
        # the system hands out memory page by page as it is filled
        self.pixels = torch.empty((room if self.total is None else self.total, 3, height, width), dtype=torch.uint8)

    def _append(self, pixels: Tensor) -> None:
        end = len(self.labels)
        if end > len(self.pixels):
            raise self._too_large(f"more than {len(self.pixels)} images of {pixels.shape[2]}x{pixels.shape[3]}")
        self.pixels[end - len(pixels) : end] = pixels

    def _too_large(self, what: str) -> DataError:
        return DataError(
            f"{what} take more than the {self.memory / 2**30:.3g} GiB of memory allowed: allow more, or set an "
            f"image_size or a limit (with an image_size, what is on disk is decoded on demand if it is still too large)"
        )
