"""Safetensors files written piece by piece: no more than two pieces are ever in memory, and one of huge tensors.

The format: the header's length in 8 bytes, little-endian; the header, JSON, padded with spaces to a multiple of 8
bytes; the tensors' bytes in C order, one after the other without gaps.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

#: Bytes of tensors that are made, and written, at a time; a larger tensor is a piece of its own.
PIECE = 2**27
#: Bytes from which on a tensor is only made when the one before it is written.
ALONE = 2**29

#: The format's dtypes in the order of their tensors in a file, which is the safetensors library's: by falling size, so
#: that every tensor is aligned.
CODES: dict[torch.dtype, str] = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e8m0fnu: "F8_E8M0",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(CODES)}
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 8

#: Gives values to tensors without any, by name.
Fill = Callable[[dict[str, Tensor]], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Slot:
    """A tensor's place in a file.

    Attributes:
        name: its name.
        dtype: one of `CODES`.
        shape: its shape, () for a scalar.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(
    path: Path,
    slots: Iterable[Slot],
    fill: Fill,
    metadata: Mapping[str, str],
    progress: Callable[[int], object] = lambda size: None,
) -> None:
    """Writes a new safetensors file, one piece while the next is being made, and waits until it is on the disk.

    The same tensors and metadata give the same bytes: those of `safetensors.torch.save_file`, metadata sorted.

    Args:
        path: a file that does not exist.
        slots: its tensors, in any order.
        fill: is given the tensors of one piece after the other: contiguous, on the CPU, of unknown content.
        metadata: strings by name.
        progress: called with the number of bytes of each piece once it is written.

    Raises:
        OSError: the file cannot be written, or the disk is full. What there is of the file is no valid one.
    """
    ordered = sorted(slots, key=lambda slot: (_RANKS[slot.dtype], slot.name))
    spare: list[Tensor] = []
    with path.open("xb", buffering=0) as file, ThreadPoolExecutor(1, "safetensors") as thread:
        _write(file, header(ordered, metadata))
        written: Future[Tensor] | None = None
        for piece in _pieces(ordered):
            size = sum(slot.size for slot in piece)
            if written is not None and size >= ALONE:
                spare.append(written.result())
                written = None
            buffer = _buffer(size, spare)
            fill(_views(buffer, piece))
            if written is not None:
                spare.append(written.result())
            written = thread.submit(_write_buffer, file, buffer, size, progress)
            del buffer  # the thread's now, and gone with it if it is huge
        if written is not None:
            written.result()
        os.fsync(file.fileno())


def header(ordered: Sequence[Slot], metadata: Mapping[str, str]) -> bytes:
    """A file's bytes before those of its tensors."""
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for slot in ordered:
        start, end = end, end + slot.size
        entries[slot.name] = {"dtype": CODES[slot.dtype], "shape": list(slot.shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return _LENGTH.pack(len(text)) + text


def _pieces(ordered: Sequence[Slot]) -> Iterator[list[Slot]]:
    piece: list[Slot] = []
    size = 0
    for slot in ordered:
        if piece and size + slot.size > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(slot)
        size += slot.size
    if piece:
        yield piece


def _buffer(size: int, spare: list[Tensor]) -> Tensor:
    """Memory of at least `size` bytes: the spare one if it is large enough, otherwise in its place."""
    if spare and size <= spare[-1].numel() < ALONE:
        return spare.pop()
    spare.clear()
    return torch.empty(size, dtype=torch.uint8)


def _views(buffer: Tensor, piece: Sequence[Slot]) -> dict[str, Tensor]:
    views, start = {}, 0
    for slot in piece:
        views[slot.name] = buffer[start : start + slot.size].view(slot.dtype).view(slot.shape)
        start += slot.size
    return views


def _write_buffer(file: FileIO, buffer: Tensor, size: int, progress: Callable[[int], object]) -> Tensor:
    _write(file, memoryview(buffer.numpy())[:size])  # type: ignore[arg-type]
    # Now, while the next piece is being made, rather than all at the end.
    os.fsync(file.fileno())
    progress(size)
    return buffer


def _write(file: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
