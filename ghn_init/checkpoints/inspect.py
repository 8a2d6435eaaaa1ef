"""What is in files of weights, without loading a tensor."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open

from ghn_init.checkpoints.convert import peek_published
from ghn_init.checkpoints.header import read_header
from ghn_init.checkpoints.info import CONFIG_FILE, CheckpointInfo, plain_name, read_info
from ghn_init.checkpoints.legacy import peek_legacy
from ghn_init.checkpoints.weights import skeleton
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHNConfig
from ghn_init.rendering import Rendered, inert, line, plain_table, size_text
from ghn_init.sharding import INDEX, weights_in
from ghn_init.tensorfile import CODES

_DTYPES = {code: dtype for dtype, code in CODES.items()}


@dataclasses.dataclass(frozen=True)
class TensorEntry:
    """A tensor in a file.

    Attributes:
        name: its name.
        dtype: as PyTorch calls it, such as "float32"; the format's own name if PyTorch has none.
        shape: its shape.
        size: its bytes; None if the dtype is not known here.
        file: the file's name.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int | None
    file: str


@dataclasses.dataclass(frozen=True)
class Inspection(Rendered):
    """What a file or folder of weights holds.

    Attributes:
        path: the file or folder.
        kind: "safetensors file", "folder", "folder of shards", or "published file".
        tensors: in the files' order.
        metadata: strings by name, as safetensors files have them.
        bytes: size of the files of weights.
        info: the ``config.json`` of a GHN beside the weights.
        ghn: the architecture of a GHN, by its ``config.json`` or, in a published file, by its tensors.
        problems: what contradicts itself: shards and their index, a GHN and its configuration.
    """

    path: Path
    kind: str
    tensors: Sequence[TensorEntry]
    metadata: Mapping[str, str]
    bytes: int
    info: CheckpointInfo | None = None
    ghn: GHNConfig | None = None
    problems: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "metadata": dict(self.metadata),
            "checkpoint": None if self.info is None else json.loads(self.info.to_json()),
            "ghn": None if self.ghn is None else self.ghn.to_dict(),
            "problems": list(self.problems),
            "tensors": [{**dataclasses.asdict(entry), "shape": list(entry.shape)} for entry in self.tensors],
        }

    def __rich_console__(self, console: Console, options: Any) -> Any:
        files = {entry.file for entry in self.tensors}
        columns = ("tensor", "dtype", "shape", "size", *(("file",) if len(files) > 1 else ()))
        tensors = plain_table(*columns, right=("size",))
        for entry in self.tensors:
            shape = " x ".join(map(str, entry.shape))
            cells = (entry.name, entry.dtype, shape, size_text(entry.size), entry.file)
            tensors.add_row(*map(inert, cells[: len(columns)]))
        yield tensors
        if self.metadata:
            metadata = plain_table("metadata", "")
            for key, value in sorted(self.metadata.items()):
                metadata.add_row(inert(key), inert(value))
            yield from ("", metadata)
        parts = f", {len(files)} files" if len(files) > 1 else ""
        yield from ("", f"{self.kind}: {len(self.tensors)} tensors, {size_text(self.bytes)}{parts}")
        if self.info is not None:
            yield line(f"checkpoint {self.info.name}: {self.info.description}")
        if self.ghn is not None:
            blocks = " x ".join(map(str, self.ghn.max_shape))
            yield f"a GHN: {self.ghn.gnn}, width {self.ghn.hid}, blocks {blocks}, {self.ghn.num_classes} classes"
        for problem in self.problems:
            yield line(f"problem: {problem}")


def inspect(path: Path) -> Inspection:
    """Looks into a safetensors file, a folder of them (shards with their index, a checkpoint) or a published GHN file.

    Raises:
        CheckpointError: there is nothing of the kind, or a file is damaged.
        UnsafeCheckpointError: a published file holds something other than data; none of it was run.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file or folder.")
    if path.suffix == ".safetensors":
        tensors, metadata = _safetensors(path)
        return Inspection(path, "safetensors file", tensors, metadata, path.stat().st_size)
    return _published(path)


def _safetensors(path: Path) -> tuple[list[TensorEntry], dict[str, str]]:
    header = read_header(path)
    try:
        with safe_open(path, "pt"):  # checks the places of the tensors, and reads none
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}.") from error
    entries = [
        _entry(name, _DTYPES.get(entry.dtype), entry.dtype, entry.shape, path) for name, entry in header.tensors.items()
    ]
    return entries, dict(header.metadata)


def _entry(name: str, dtype: torch.dtype | None, code: str, shape: tuple[int, ...], path: Path) -> TensorEntry:
    if dtype is None:
        return TensorEntry(name, code, shape, None, path.name)
    return TensorEntry(name, str(dtype).removeprefix("torch."), shape, math.prod(shape) * dtype.itemsize, path.name)


def _folder(path: Path) -> Inspection:
    index = path / INDEX
    info, problems = _config(path)
    places = _places(index) if index.is_file() else None
    named = set() if places is None else set(places.values())
    if info is not None and info.file is not None:
        named.add(info.file)
    files = [path / name for name in sorted(named)] or [file for file in weights_in(path) if file != index]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        what = (
            f"{missing[0].name} is missing"
            if missing
            else "no weights in it (model.safetensors, or shards with an index)"
        )
        raise CheckpointError(f"{path}: {what}.")
    tensors: list[TensorEntry] = []
    metadata: dict[str, str] = {}
    for file in files:
        entries, own = _safetensors(file)
        tensors += entries
        metadata |= own
    if places is not None:
        found = {entry.name: entry.file for entry in tensors}
        problems += [
            f"{name} is not in {file}, where the index has it"
            for name, file in places.items()
            if found.get(name) != file
        ]
        problems += [f"{name} in {file} is not in the index" for name, file in found.items() if name not in places]
    size = sum(file.stat().st_size for file in files)
    ghn = None if info is None else info.ghn
    if info is not None and info.size not in (None, size):
        problems.append(f"{size} bytes of weights, {info.size} in {CONFIG_FILE}")
    inspection = Inspection(
        path, "folder" if places is None else "folder of shards", tensors, metadata, size, info, ghn
    )
    return dataclasses.replace(inspection, problems=[*problems, *_own_problems(inspection)])


def _config(folder: Path) -> tuple[CheckpointInfo | None, list[str]]:
    """The configuration of a GHN in a folder; those of networks are of other kinds, and are left alone."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None, []
    try:
        return read_info(path), []
    except CheckpointError as error:
        about_ghn = "format_version" in path.read_text(encoding="utf-8", errors="replace")
        return None, [str(error)] if about_ghn else []


def _places(index: Path) -> dict[str, str]:
    """The file of each tensor, as an index of shards has it."""
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{index}: cannot be read as an index of shards: {error}.") from error
    if not isinstance(places, dict) or not all(isinstance(name, str) and plain_name(name) for name in places.values()):
        raise CheckpointError(f"{index}: its weight_map does not give the name of a file for each tensor.")
    return places


def _published(path: Path) -> Inspection:
    contents = peek_legacy(path)
    tensors = [
        _entry(name, tensor.dtype, str(tensor.dtype), tuple(tensor.shape), path)
        for name, tensor in contents.tensors.items()
    ]
    ghn, problems = None, []
    try:
        ghn = peek_published(path)
    except CheckpointError as error:
        problems = [str(error)]
    metadata = {} if contents.epoch is None else {"epoch": str(contents.epoch)}
    return Inspection(path, "published file", tensors, metadata, path.stat().st_size, ghn=ghn, problems=problems)


def _own_problems(inspection: Inspection) -> list[str]:
    """How the weights of a GHN differ from what its configuration asks for."""
    if inspection.ghn is None:
        return []
    tensors = {entry.name: torch.empty(entry.shape, device="meta") for entry in inspection.tensors}
    try:
        skeleton(inspection.ghn, tensors, CONFIG_FILE)
    except CheckpointError as error:
        return [str(error)]
    return []
