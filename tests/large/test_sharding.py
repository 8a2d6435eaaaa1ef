"""Which tensor goes into which file, against huggingface_hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import save_torch_state_dict

from ghn_init.sharding import INDEX, shards, weights_in
from ghn_init.tensorfile import Slot


def slots_of(state: dict[str, torch.Tensor]) -> list[Slot]:
    return [Slot(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in state.items()]


@pytest.mark.parametrize("size", ["300KB", "5MB", 8_000_000, "1GB"])
def test_files_and_index_are_those_of_the_hub(tmp_path: Path, size: int | str) -> None:
    state = timm.create_model("resnet18", num_classes=10).state_dict()
    save_torch_state_dict(state, tmp_path, max_shard_size=size)
    found = shards(slots_of(state), size)
    files = [path.name for path in weights_in(tmp_path) if path.name != INDEX]
    assert sorted(found.files) == files
    assert found.size == sum(tensor.nbytes for tensor in state.values())
    if len(files) == 1:
        assert files == ["model.safetensors"]
        assert found.index() is None
    else:
        assert json.loads(found.index() or "") == json.loads((tmp_path / INDEX).read_text())


def test_nothing_is_one_empty_file() -> None:
    assert shards([]).files == {"model.safetensors": []}


@pytest.mark.parametrize("size", [0, -5, "-1GB", "0MB", "5", "GB", "5GiB", "much"])
def test_sizes_that_are_none(size: int | str) -> None:
    with pytest.raises(ValueError, match=r"size|Unit"):
        shards([Slot("a", torch.float32, (2,))], size)
