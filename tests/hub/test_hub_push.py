"""GHNs and checkpoints to the Hub and back: `push_to_hub`, ``ghn-init push``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, constants
from loopback import TOKEN, Fault, LoopbackHub
from typer.testing import CliRunner

from ghn_init.checkpoints import CheckpointInfo, load, read_info, save
from ghn_init.checkpoints.card import card
from ghn_init.checkpoints.fingerprint import fingerprint
from ghn_init.cli import app
from ghn_init.errors import CheckpointError
from ghn_init.evaluation import Report, Result
from ghn_init.hypernet import GHN, GHNConfig

SMALL = GHNConfig(hid=16, max_shape=(8, 8, 3, 3))


@pytest.fixture
def ghn() -> GHN:
    torch.manual_seed(0)
    return GHN(SMALL)


@pytest.fixture
def folder(ghn: GHN, tmp_path: Path) -> Path:
    info = CheckpointInfo(name="mine", license="mit", description="Mine.", training={"steps": 3})
    save(ghn, tmp_path / "mine", info)
    (tmp_path / "mine" / "notes.txt").write_text("not for others")
    return tmp_path / "mine"


@pytest.fixture
def results(ghn: GHN, tmp_path: Path) -> Path:
    """What ``ghn-init eval`` writes, by its own code."""
    found = [
        Result(f"{column}/{index}", column, start, top1=value * share, images=50, parameters=1000, depth=9)
        for start, share in (("predicted", 1.0), ("own", 0.5))
        for column, values in {"test": (0.25, 0.5), "ResNet-50": (0.5861234,)}.items()
        for index, value in enumerate(values)
    ]
    found.append(Result("test/3", "test", "predicted", "out of memory", message="could not allocate"))
    (tmp_path / "results").mkdir()
    Report("anywhere/else", "cifar10", 10, 50, found, fingerprint=fingerprint(ghn)).write(tmp_path / "results")
    return tmp_path / "results"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def line(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    return str(result.stderr.strip())


def test_save_and_load_in_the_hubs_way(ghn: GHN, tmp_path: Path) -> None:
    assert ghn.save_pretrained(tmp_path / "mine") is None
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    for back in (GHN.from_pretrained(tmp_path / "mine"), load(tmp_path / "mine")):
        assert back.config == SMALL
        assert back.info == read_info(tmp_path / "mine" / "config.json")
        assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in ghn.state_dict().items())
    card = ModelCard.load(tmp_path / "mine" / "README.md")
    assert card.data.library_name == "ghn-init"
    assert "graph-hypernetwork" in card.data.tags
    assert str(GHN.from_pretrained(tmp_path / "mine").generate_model_card()) == str(card)


def test_results_stay_with_the_weights_that_they_are_of(ghn: GHN, tmp_path: Path) -> None:
    save(ghn, tmp_path / "a", CheckpointInfo(name="a", license="mit", evaluation={"top1": 0.5}, familiarity={"n": 1}))
    same = GHN.from_pretrained(tmp_path / "a")
    same.save_pretrained(tmp_path / "b")
    assert (tmp_path / "b" / "config.json").read_text() == (tmp_path / "a" / "config.json").read_text()
    with torch.no_grad():
        same.norm.bias += 1
    same.save_pretrained(tmp_path / "b")
    changed = read_info(tmp_path / "b" / "config.json")
    assert (changed.name, changed.license, changed.evaluation, changed.familiarity) == ("a", "mit", {}, {})
    assert "top1" not in (tmp_path / "b" / "README.md").read_text()


@pytest.mark.parametrize("part", ["save_file", "card"])
def test_a_failed_save_leaves_the_old_files(ghn: GHN, folder: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    with torch.no_grad():
        ghn.norm.bias += 1
    monkeypatch.setattr(f"ghn_init.checkpoints.folder.{part}", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        ghn.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_can_upload_as_well(hub: LoopbackHub, ghn: GHN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    url = ghn.save_pretrained(tmp_path / "mine", push_to_hub=True, private=True, commit_message="First")
    assert url is not None
    assert str(url).endswith(hub.repositories["me/mine"].refs["main"])
    assert GHN.from_pretrained("me/mine").config == SMALL
    ghn.save_pretrained(tmp_path / "mine", push_to_hub=True, repo_id="user/other")
    assert not hub.repositories["user/other"].private


def test_push_to_hub_and_back(hub: LoopbackHub, ghn: GHN) -> None:
    ghn.push_to_hub("user/mine", private=True, token=TOKEN)
    assert hub.repositories["user/mine"].private
    assert HfApi().model_info("user/mine", token=TOKEN).private
    back = GHN.from_pretrained("user/mine", token=TOKEN)
    assert back.config == SMALL
    assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in ghn.state_dict().items())
    assert back.info is not None
    assert back.info.name == "mine"


def test_a_dry_run_says_everything_and_does_nothing(hub: LoopbackHub, folder: Path, results: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run("push", folder, "user/mine", "--results", results)
    assert done.exit_code == 0, done.output
    assert hub.asked == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for expected in (
        "config.json",
        "model.safetensors",
        "README.md",
        "not uploaded: notes.txt",
        "nothing was uploaded",
    ):
        assert expected in done.stdout
    assert "private repository user/mine, branch main" in done.stdout
    # 0.25 and 0.5, sample standard deviation over the square root of two; what failed is said
    numbers = "networks 2; mean 0.375; standard error 0.125; best 0.5; worst 0.25; failed 1; test images each 50"
    assert f"- cifar10: test: {numbers}" in done.stdout
    assert "- cifar10: ResNet-50: top1 0.5861; test images each 50" in done.stdout
    assert 'ghn="user/mine"' in done.stdout
    shown = json.loads(run("push", folder, "user/mine", "--results", results, "--json").stdout)["card"]
    index = {found.metric_name: found for found in ModelCard(shown).data.eval_results}
    assert {(found.dataset_name, found.metric_type) for found in index.values()} == {("cifar10", "accuracy")}
    assert {name: found.metric_value for name, found in index.items()} == {
        "top-1 accuracy without training, test, mean of 2 networks": 0.375,
        "top-1 accuracy without training, ResNet-50": 0.5861,
    }
    data = json.loads(run("push", folder, "user/mine", "--public", "--json").stdout)
    assert (data["visibility"], data["uploaded"], data["url"]) == ("public", False, None)
    assert data["files"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size


def test_the_upload(hub: LoopbackHub, folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = run("push", folder, "user/mine", "--results", results, "--yes", "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    repository = hub.repositories["user/mine"]
    assert repository.private
    assert data["url"].endswith(repository.refs["main"])
    files = repository.commits[repository.refs["main"]]
    assert set(files) == {".gitattributes", "config.json", "model.safetensors", "README.md"}
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert files["README.md"].decode() == data["card"]
    assert {name: len(content) for name, content in files.items() if content} == data["files"]
    back = load("user/mine")
    assert back.info is not None
    assert back.info.evaluation["cifar10: test"]["mean"] == 0.375
    assert back.info.training == {"steps": 3}
    # a second time into the same repository, without results: what config.json says remains
    assert run("push", folder, "user/mine", "--public", "--yes", "--message", "Again").exit_code == 0
    assert len(repository.commits) == 3
    assert repository.private


@pytest.mark.parametrize("name", ["mine", "user/", "user/a b", "a/b/c", "-/-"])
def test_names_that_are_none(folder: Path, name: str) -> None:
    assert "user/" in line("push", folder, "--", name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json in it"),
        (lambda folder: (folder / "model.safetensors").unlink(), "missing, though"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 100),
            "its download or copy may be incomplete",
        ),
    ],
)
def test_folders_that_are_no_checkpoints(hub: LoopbackHub, folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    assert message in line("push", folder, "user/mine", "--yes")
    assert hub.repositories == {}


def test_weights_that_the_configuration_is_not_of(folder: Path) -> None:
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-4:] = bytes(4)
    (folder / "model.safetensors").write_bytes(weights)
    assert "their digest differs" in line("push", folder, "user/mine")


def test_results_of_another_checkpoint(folder: Path, results: Path, tmp_path: Path) -> None:
    data = json.loads((results / "results.json").read_text())
    other = fingerprint(load("default"))
    (results / "results.json").write_text(json.dumps({**data, "ghn": "default", "fingerprint": other}))
    assert "these results of 'default' are of other weights" in line("push", folder, "u/m", "--results", results)
    del data["fingerprint"]
    (results / "results.json").write_text(json.dumps(data))
    assert "not the results of 'ghn-init eval': 'fingerprint'" in line("push", folder, "u/m", "--results", results)
    (results / "results.json").write_text(json.dumps({**data, "columns": {"test": {"predicted": 3}}}))
    assert "not the results of 'ghn-init eval'" in line("push", folder, "u/m", "--results", results / "results.json")
    assert "not the results of 'ghn-init eval'" in line("push", folder, "u/m", "--results", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("fault", "token", "message"),
    [
        (None, None, "the Hub does not accept the access token: run 'hf auth login'"),
        (None, "hf_wrong", "the Hub does not accept the access token"),
        (Fault("POST", "create", status=403), TOKEN, "the access token does not allow this"),
        (Fault("POST", "main", status=500, times=100), TOKEN, "the Hub is in trouble"),
    ],
)
def test_uploads_that_the_hub_does_not_take(
    hub: LoopbackHub,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault | None,
    token: str | None,
    message: str,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.faults += [fault] if fault else []
    assert f"user/mine on the Hugging Face Hub: not uploaded: {message}" in line("push", folder, "user/mine", "--yes")


def test_uploads_without_network(hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set, and only" in line("push", folder, "user/mine", "--yes")


def test_the_card_does_not_say_where_images_are_on_this_machine(folder: Path, results: Path, tmp_path: Path) -> None:
    data = json.loads((results / "results.json").read_text())
    private = tmp_path / "cifar10" / "test.parquet"
    (results / "results.json").write_text(json.dumps({**data, "data": str(private)}))
    done = run("push", folder, "user/mine", "--results", results)
    assert "cifar10/test.parquet: " in done.output
    assert str(private.parent) not in done.output.replace("\n", "")


@pytest.mark.parametrize("data", [None, 3, ["cifar10"], {"name": "cifar10"}])
def test_accuracies_on_data_without_a_name_are_in_no_model_index(data: object) -> None:
    info = CheckpointInfo(name="a", evaluation={"data": data, "test": {"top1": 0.5}})
    made = ModelCard(card(info))
    assert made.data.eval_results is None
    assert "- test: top1 0.5" in made.text
