"""Names, folders, files and repositories: what `load` makes of each, and what it says where it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from ghn_init.checkpoints import CheckpointInfo, convert, find, known, load, save
from ghn_init.checkpoints import registry as registry_module
from ghn_init.checkpoints.folder import digest
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHN, GHNConfig

DATA = Path(__file__).parents[1] / "data"
GHN3 = DATA / "ghn3_random_hid16.pt"
SMALL = GHNConfig(hid=16, max_shape=(8, 8, 3, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(GHN(SMALL), tmp_path / "ghn", CheckpointInfo(name="small"))
    return tmp_path / "ghn"


def test_folder_and_safetensors_file_and_published_file(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    for name in (folder, str(folder), folder / "model.safetensors", str(folder / "model.safetensors")):
        ghn = load(name)
        assert ghn.config == SMALL
        assert not ghn.training
        assert all(torch.equal(ghn.state_dict()[key], tensor) for key, tensor in weights.items())
    assert load(GHN3).config.hid == 16


def test_a_renamed_safetensors_file_with_its_configuration_beside_it(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "step3.safetensors")
    assert load(folder / "step3.safetensors").config == SMALL
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing, though .*config\.json names it"):
        load(folder)


def edit(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format_version is 2, this ghn_init reads 1"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"name": 3}, "'name' must be a short string"),
        ({"ghn": {"hid": 16, "depth": 3}}, "unknown key 'depth'"),
        ({"ghn": {"hid": "16"}}, "hid is '16'"),
        ({"ghn": {**SMALL.to_dict(), "heads": 5}}, "must divide hid"),
        ({"ghn": {**SMALL.to_dict(), "layers": 2}}, "unexpected: 'gnn.layers.2"),
        ({"ghn": {**SMALL.to_dict(), "num_classes": 11}}, "wrong shape: .*classes"),
        ({"file": "../ghn/model.safetensors"}, "'file' must be a file name without a folder"),
        ({"file": "/etc/passwd"}, "'file' must be a file name without a folder"),
        ({"file": ""}, "'file' must be a file name without a folder"),
        ({"size": 12}, "bytes, not 12; its download or copy may be incomplete"),
        ({"size": True}, "'size' must be a number of bytes"),
        ({"sha256": "xyz"}, "'sha256' must be 64 hexadecimal digits"),
        ({"source": {"repo_id": "a/b"}}, r"'source\.file' is missing"),
        ({"source": {"repo_id": "a/b", "file": "x", "url": "y"}}, r"unknown key 'source\.url'"),
    ],
)
def test_configurations_that_are_wrong(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"format_version": 1, "format_version": 1, "name": "a"}', "[" * 100_000, "\udcff"],
)
def test_configurations_that_are_not_json_objects(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load(folder)


def test_a_huge_configuration_is_not_read(folder: Path) -> None:
    (folder / "config.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(CheckpointError, match="larger than 1048576 bytes"):
        load(folder)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor(float("nan")), "'norm.bias' holds 16 values of 16 that are NaN or infinite"),
        (torch.tensor(float("-inf")), "'norm.bias' holds 16 values of 16"),
        (torch.tensor(1, dtype=torch.int32), r"'norm\.bias' is torch\.int32"),
    ],
)
def test_weights_that_are_wrong(folder: Path, value: torch.Tensor, message: str) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["norm.bias"] = value.expand(16).contiguous()
    save_file(weights, folder / "model.safetensors")
    edit(folder, size=(folder / "model.safetensors").stat().st_size)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_large_finite_weights_are_fine(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["norm.bias"] = torch.full((16,), 3e38)  # their sum overflows
    save_file(weights, folder / "model.safetensors")
    edit(folder, size=(folder / "model.safetensors").stat().st_size)
    assert load(folder).norm.bias.max() == 3e38


def test_damaged_safetensors(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:100])
    edit(folder, size=100)
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load(folder)


def test_an_empty_folder_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json in it"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="neither a known name nor a file or folder"):
        load(tmp_path / "absent.pt")


@pytest.mark.parametrize(("name", "near"), [("ghn3-xx", "ghn3-x"), ("GHN3_T", "ghn3-t"), ("ghn2", "ghn2-imagenet")])
def test_unknown_names_get_the_nearest(name: str, near: str) -> None:
    with pytest.raises(CheckpointError, match=rf"Did you mean '{near}"):
        load(name)


def test_known_checkpoints() -> None:
    infos = known()
    assert {"ghn3-t", "ghn3-s", "ghn3-l", "ghn3-xl", "ghn2-imagenet"} <= set(infos)
    for name, info in infos.items():
        assert info.name == name
        assert (info.file is None) != (info.source is None)
        assert info.description
        assert (registry_module.configs_folder() / name / "README.md").is_file()


def test_weights_in_hub_configs_are_those_that_their_configuration_names() -> None:
    for name, info in known().items():
        if info.file is not None:
            weights = registry_module.configs_folder() / name / info.file
            assert (weights.stat().st_size, digest(weights)) == (info.size, info.sha256)


class Hub:
    """Stands for the Hub: files by repository and name, and a count of the downloads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str, str | None]] = []
        self.error: Exception | None = None

    def add(self, repo_id: str, file: str, source: Path) -> None:
        target = self.root / repo_id.replace("/", "--") / "snapshots" / "0123abcd" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def download(self, repo_id: str, filename: str, *, revision: str | None = None, library_name: str = "") -> str:
        self.asked.append((repo_id, filename, revision))
        if self.error is not None:
            raise self.error
        return str(self.root / repo_id.replace("/", "--") / "snapshots" / "0123abcd" / filename)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("ghn_init.checkpoints.hub.hf_hub_download", hub.download)

    def assets(library_name: str, namespace: str, subfolder: str) -> Path:
        path = tmp_path / "assets" / library_name / namespace.replace("/", "--") / subfolder
        path.mkdir(parents=True, exist_ok=True)
        return path

    monkeypatch.setattr("ghn_init.checkpoints.hub.cached_assets_path", assets)
    return hub


def test_a_repository_laid_out_like_a_folder(hub: Hub, folder: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        hub.add("user/repo", file, folder / file)
    assert load("user/repo").config == SMALL
    assert hub.asked == [("user/repo", "config.json", None), ("user/repo", "model.safetensors", None)]
    assert load("user/repo@v1.0").config == SMALL
    assert hub.asked[-1] == ("user/repo", "model.safetensors", "v1.0")


def test_a_known_published_file_is_converted_once(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("SamsungSAILMontreal/ghn3", "ghn3tm8.pt", GHN3)
    first = load("ghn3-t")
    assert hub.asked == [("SamsungSAILMontreal/ghn3", "ghn3tm8.pt", None)]
    converted = tmp_path / "assets/ghn_init/SamsungSAILMontreal--ghn3/0123abcd-ghn3tm8"
    assert {path.name for path in converted.iterdir()} == {"config.json", "model.safetensors", "README.md"}

    def fail(path: Path) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr("ghn_init.checkpoints.loading.read_published", fail)
        second = load("ghn3-t")
    assert all(torch.equal(second.state_dict()[name], tensor) for name, tensor in first.state_dict().items())

    (converted / "model.safetensors").write_bytes(b"damaged")
    third = load("ghn3-t")
    assert torch.equal(third.norm.bias, first.norm.bias)
    assert load(converted).config == first.config


def test_a_published_file_with_another_digest_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.add("user/repo", "ghn.pt", GHN3)
    for source in ({"size": 3}, {"sha256": "0" * 64}):
        config = {"format_version": 1, "name": "x", "source": {"repo_id": "user/repo", "file": "ghn.pt", **source}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        hub.add("user/repo", "config.json", tmp_path / "config.json")
        with pytest.raises(CheckpointError, match="not the file that x was published as"):
            load("user/repo")
    config["source"].update(size=GHN3.stat().st_size, sha256=digest(GHN3))
    (tmp_path / "config.json").write_text(json.dumps(config))
    hub.add("user/repo", "config.json", tmp_path / "config.json")
    assert load("user/repo").config.hid == 16


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.add("SamsungSAILMontreal/ghn3", "ghn3tm8.pt", GHN3)

    def full(*arguments: object, **keywords: object) -> None:
        raise CheckpointError("no space")

    monkeypatch.setattr("ghn_init.checkpoints.loading.save", full)
    assert load("ghn3-t").config.hid == 16
    assert "the conversion is not kept" in caplog.text


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.LocalEntryNotFoundError, r"cannot be reached \(no network, or HF_HUB_OFFLINE is set\)"),
        (errors.GatedRepoError, "access to the repository is restricted"),
        (errors.RepositoryNotFoundError, "no such repository, or it is private"),
        (errors.RevisionNotFoundError, "no such revision"),
        (errors.EntryNotFoundError, "no such file"),
        (errors.HFValidationError, "no name of a repository"),
        (errors.HfHubHTTPError, "try again later"),
        (OSError, "is the disk full"),
    ],
)
def test_what_can_go_wrong_on_the_way(hub: Hub, kind: type[Exception], message: str) -> None:
    hub.error = kind.__new__(kind)  # how these are constructed depends on the version of huggingface_hub
    with pytest.raises(CheckpointError, match=f"config.json of user/repo on the Hugging Face Hub: .*{message}"):
        load("user/repo")


def test_finding_reads_nothing(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"nonsense")
    assert find("user/repo").origin == "Hugging Face Hub"
    assert find("ghn3-xl").origin == "ghn3xlm16.pt of SamsungSAILMontreal/ghn3"
    assert find(tmp_path / "broken.pt").origin == "published file"
    assert hub.asked == []


def test_a_known_name_wins_over_a_folder_of_that_name(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder.rename(tmp_path / "ghn3-t")
    assert find("ghn3-t").origin == "ghn3tm8.pt of SamsungSAILMontreal/ghn3"
    assert load("./ghn3-t").config == SMALL


def test_device(folder: Path) -> None:
    assert next(load(folder, device="meta").parameters()).is_meta


def test_conversion_beside_the_file_reads_back_through_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    convert(GHN3, "out")
    assert load("out").config.hid == 16
