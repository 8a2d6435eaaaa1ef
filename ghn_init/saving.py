"""Writing a state dict as a safetensors file: whole or not at all, and the same bytes for the same content."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from ghn_init.atomic import write_atomically

_LENGTH = struct.Struct("<Q")


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str], *, force: bool = False
) -> Path:
    """Writes tensors to `path`, making its folder if it is missing.

    Args:
        tensors: contiguous tensors that share no memory, by name.
        path: the file.
        metadata: the file's metadata.
        force: overwrite an existing file.

    Raises:
        FileExistsError: the file exists and `force` is not set.
    """
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; choose another name or overwrite it with force=True (--force)")

    def write(temporary: Path) -> None:
        save_file(dict(tensors), temporary, metadata=dict(metadata))
        _sort_metadata(temporary)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return path


def _sort_metadata(path: Path) -> None:
    """Puts the metadata of a safetensors file in the order of its keys, which the library leaves to chance."""
    with path.open("r+b") as file:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(encoded) <= length:
            file.seek(_LENGTH.size)
            file.write(encoded.ljust(length))
