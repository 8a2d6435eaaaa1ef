"""Files written piece by piece, against the safetensors library."""

from __future__ import annotations

import json
import struct
import time
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save, save_file

from ghn_init import tensorfile
from ghn_init.tensorfile import CODES, Slot, write_tensors

METADATA = {"format": "pt"}


def write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] = METADATA) -> Path:
    def fill(parts: dict[str, torch.Tensor]) -> None:
        for name, part in parts.items():
            part.copy_(tensors[name])

    slots = [Slot(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()]
    path.unlink(missing_ok=True)
    write_tensors(path, slots, fill, metadata)
    return path


def numbers(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return (torch.rand(shape) * 100).to(dtype)


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    tensors = {f"{dtype}".rpartition(".")[2]: numbers(dtype, (3, 5)) for dtype in CODES}
    tensors |= {"z": torch.tensor(3), "a": torch.rand(()), "größe": torch.rand(2), "none": torch.rand(0, 4)}
    save_file(tensors, tmp_path / "library.safetensors", metadata=METADATA)
    ours = write(tmp_path / "ours.safetensors", tensors)
    assert ours.read_bytes() == (tmp_path / "library.safetensors").read_bytes()


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and name.isprintable()),
        st.tuples(
            st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.int8]),
            st.lists(st.integers(0, 5), max_size=4),
        ),
        max_size=8,
    ),
    st.integers(1, 500),
)
def test_any_tensors_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, tuple[torch.dtype, list[int]]], piece: int
) -> None:
    tensors = {name: numbers(dtype, tuple(shape)) for name, (dtype, shape) in kinds.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorfile, "PIECE", piece)
        path = write(tmp_path_factory.mktemp("files") / "x.safetensors", tensors)
    assert path.read_bytes() == save(tensors, METADATA)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_metadata_is_sorted_so_that_the_bytes_do_not_depend_on_its_order(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(3)}
    first = write(tmp_path / "1.safetensors", tensors, {"x": "1", "b": "ä"})
    second = write(tmp_path / "2.safetensors", dict(tensors), {"b": "ä", "x": "1"})
    assert first.read_bytes() == second.read_bytes()
    with safe_open(first, "pt") as file:
        assert file.metadata() == {"b": "ä", "x": "1"}
    (length,) = struct.unpack("<Q", first.read_bytes()[:8])
    assert length % 8 == 0
    assert list(json.loads(first.read_bytes()[8 : 8 + length])["__metadata__"]) == ["b", "x"]


def test_no_more_is_asked_for_than_a_piece_or_one_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorfile, "PIECE", 100)
    sizes, done = [], []

    def fill(parts: dict[str, torch.Tensor]) -> None:
        sizes.append([part.nbytes for part in parts.values()])
        for part in parts.values():
            part.zero_()

    slots = [Slot(f"{i}", torch.float32, (length,)) for i, length in enumerate((10, 10, 10, 50, 1, 20))]
    write_tensors(tmp_path / "x.safetensors", slots, fill, {}, done.append)
    assert sizes == [[40, 40], [40], [200], [4, 80]]
    assert done == [80, 40, 200, 84]


def test_of_huge_tensors_one_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorfile, "PIECE", 100)
    monkeypatch.setattr(tensorfile, "ALONE", 1000)
    lengths = (20, 300, 310, 305, 20, 20)
    limit = 4 * max(lengths) + 100
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = []
    make = torch.empty

    def held() -> int:
        return sum(tensor.numel() for tensor in alive)

    def empty(size: int, dtype: torch.dtype) -> torch.Tensor:
        deadline = time.monotonic() + 5
        while held() + size > limit and time.monotonic() < deadline:
            time.sleep(0.001)  # the writing thread lets go a moment after it says so
        made = make(size, dtype=dtype)
        alive.add(made)
        most.append(held())
        return made

    monkeypatch.setattr(torch, "empty", empty)
    slots = [Slot(f"{place}", torch.float32, (length,)) for place, length in enumerate(lengths)]
    write_tensors(tmp_path / "x.safetensors", slots, lambda parts: [part.zero_() for part in parts.values()], {})
    assert 4 * max(lengths) <= max(most) <= limit


def test_an_error_while_filling_is_raised_and_leaves_no_valid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorfile, "PIECE", 8)

    def fill(parts: dict[str, torch.Tensor]) -> None:
        if "b" in parts:
            raise ValueError("no b")

    slots = [Slot(name, torch.float32, (4,)) for name in "abc"]
    with pytest.raises(ValueError, match="no b"):
        write_tensors(tmp_path / "x.safetensors", slots, fill, {})
    with pytest.raises(SafetensorError):
        load_file(tmp_path / "x.safetensors")


def test_an_existing_file_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        write_tensors(tmp_path / "x.safetensors", [Slot("a", torch.float32, (4,))], lambda parts: None, {})
    assert (tmp_path / "x.safetensors").read_bytes() == b"precious"
