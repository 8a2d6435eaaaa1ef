"""What `Prediction.save` replaces, what it refuses to, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import load_torch_model
from torch import nn

import ghn_init
from ghn_init import GHN, GHNConfig
from ghn_init.prediction import Prediction
from ghn_init.sharding import INDEX


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 3, 3), num_classes=10, heads=4, layers=2)).eval()
    return ghn_init.predict(network(), ghn)


def loads(folder: Path, prediction: Prediction) -> bool:
    fresh = network()
    load_torch_model(fresh, folder, strict=True)
    expected = prediction.load_into(network()).state_dict()
    return all(torch.equal(tensor, expected[name]) for name, tensor in fresh.state_dict().items())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("first", ["2KB", "5KB", "1GB"])
@pytest.mark.parametrize("second", ["2KB", "5KB", "1GB"])
def test_old_weights_need_force_and_go_entirely(
    prediction: Prediction, tmp_path: Path, first: str, second: str
) -> None:
    prediction.save(tmp_path / "a", max_shard_size=first)
    before = {path: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    (tmp_path / "a" / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match="exists; choose another name or overwrite it with force=True"):
        prediction.save(tmp_path / "a", max_shard_size=second)
    assert all(path.read_bytes() == content for path, content in before.items())
    prediction.save(tmp_path / "a", max_shard_size=second, force=True)
    prediction.save(tmp_path / "b", max_shard_size=second)
    assert names(tmp_path / "a") == names(tmp_path / "b") | {"config.json"}
    assert names(tmp_path) == {"a", "b"}
    if second == "1GB":
        assert names(tmp_path / "b") == {"model.safetensors"}
        (tmp_path / "a" / "config.json").unlink()
    assert loads(tmp_path / "a", prediction)


def test_a_folder_with_other_files_is_filled(prediction: Prediction, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    prediction.save(tmp_path, max_shard_size="2KB")
    assert INDEX in names(tmp_path)
    assert (tmp_path / "config.json").read_text() == "{}"
    assert loads(tmp_path, prediction)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_the_current_folder(prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prediction.save(".")
    assert names(tmp_path) == {"model.safetensors"}


def test_files_and_folders_in_each_others_place(prediction: Prediction, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(FileExistsError, match="not a folder"):
        prediction.save(tmp_path / "file", force=True)
    with pytest.raises(IsADirectoryError):
        prediction.save(tmp_path / "folder.safetensors", force=True)
    for name in ("weights.pt", "weights.bin", "model.safetensors.index.json"):
        with pytest.raises(ValueError, match=r"must end in \.safetensors, or be a folder"):
            prediction.save(tmp_path / name)
    assert names(tmp_path) == {"file", "folder.safetensors"}
    assert (tmp_path / "file").read_text() == "precious"


def test_names_with_dots_are_folders(prediction: Prediction, tmp_path: Path) -> None:
    prediction.save(tmp_path / "net.v1.5")
    assert names(tmp_path / "net.v1.5") == {"model.safetensors"}


def test_too_little_space_is_found_before_anything_is_written(
    prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OSError, match=r"No space for 0\.00 GB of weights"):
        prediction.save(tmp_path / "a")
    assert names(tmp_path) == set()
