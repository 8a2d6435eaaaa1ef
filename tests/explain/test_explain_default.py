"""Explanations by the embedded default, and by checkpoints of one's own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from explained_graphs import small_ghn
from torch import Tensor, nn
from typer.testing import CliRunner

import ghn_init
from ghn_init.checkpoints import CheckpointInfo, load, save
from ghn_init.cli import app
from ghn_init.deepnets import Classic, sample
from ghn_init.errors import CheckpointError
from ghn_init.explain import Explanation, explain
from ghn_init.explain.score import statistics_of
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.config import ArchitectureConfig, TrainConfig

FOLDER = Path(__file__).parents[2] / "hub_configs" / "default"


class Narrow(nn.Module):
    """60 layers of width 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(60))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return x


class Large(nn.Module):
    """Kernels of 31 x 31."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(3, 16, 31, padding=15), nn.ReLU(), nn.Conv2d(16, 16, 31, padding=15))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.convs(x).mean((2, 3)))


IMAGE = torch.zeros(2, 3, 32, 32)


@pytest.fixture(scope="module")
def narrow() -> Explanation:
    return explain(Narrow(), example_inputs=torch.zeros(2, 1))


def test_the_file_is_small_and_says_what_it_was_fitted_on() -> None:
    assert (FOLDER / "config.json").stat().st_size < 200_000
    statistics = statistics_of(load())
    assert statistics is not None
    assert statistics.architectures >= 400
    assert set(statistics.types) <= set(load().config.node_types)
    assert {"conv", "bn", "bias", "sum"} <= set(statistics.types)


def test_training_networks_are_familiar() -> None:
    found = [
        explain(sample("train", index).with_width(16).build(), example_inputs=IMAGE)  # beyond those trained on
        for index in range(2000, 2006)
    ]
    percentiles = sorted(one.percentile or 0 for one in found)
    assert percentiles[2] < 90
    assert sum(one.familiarity is not None and one.familiarity.far for one in found) <= 2
    classic = explain(Classic("basic", (1, 2, 1), 16).build(), example_inputs=IMAGE)
    assert classic.percentile is not None
    assert classic.percentile < 99  # few of those trained on are as small as this
    assert all(node.percentile < 100 for node in classic.layers[-5:])


def test_strange_networks_are_not(narrow: Explanation) -> None:
    assert narrow.familiarity is not None
    assert narrow.familiarity.far
    assert narrow.percentile is not None
    assert narrow.percentile > 99
    assert "ABOVE the threshold" in " ".join(str(narrow).split())
    large = explain(Large(), example_inputs=IMAGE)
    strange = {node.name: node.reasons for node in large.layers[:2]}
    for name in ("convs.0.weight", "convs.2.weight"):
        assert any("kernel 31 x 31, seen up to" in reason for reason in strange[name])


def test_nearest_can_be_rebuilt(narrow: Explanation) -> None:
    found = explain(torchvision.models.resnet18(num_classes=10), neighbours=3)
    assert len(found.nearest) == 3
    for neighbour in (*found.nearest[:2], *narrow.nearest[:1]):
        architecture: Any = eval(neighbour.rebuild)  # noqa: S307 - of our own file
        assert len(architecture.graph()) == pytest.approx(neighbour.nodes, rel=0.1)


def test_reports_say_how_familiar_a_network_is(narrow: Explanation) -> None:
    with pytest.warns(UserWarning, match="far from the architectures"):
        report = ghn_init.predict(Narrow(), example_inputs=torch.zeros(2, 1)).report
    assert report.familiarity is not None
    assert report.familiarity.score == pytest.approx(narrow.score, rel=1e-5)
    assert f"familiarity: {narrow.familiarity}" in " ".join(str(report).split())
    assert report.to_dict()["familiarity"]["far"] is True
    json.dumps(report.to_dict(), allow_nan=False)


def test_explanations_are_deterministic_and_leave_the_module_alone() -> None:
    module = torchvision.models.resnet18(num_classes=10)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = explain(module, influence_on="layer3.0.conv1.weight", top=4)
    assert found == explain(module, influence_on=["layer3.0.conv1.weight"], top=4)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    (influence,) = found.influences
    assert len(influence.nodes) == 4
    assert influence.nodes[0].distance == 0  # its own shape decides most
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["influences"][0]["of"] == found.nodes


def test_without_statistics_nothing_is_guessed(tmp_path: Path) -> None:
    save(small_ghn("graphormer"), tmp_path, CheckpointInfo("bare"))
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))
    found = explain(module, tmp_path, example_inputs=torch.zeros(2, 8))
    assert (found.familiarity, found.nearest, found.layers, found.score) == (None, (), (), None)
    assert "no statistics of the architectures" in str(found)
    report = ghn_init.predict(module, tmp_path, example_inputs=torch.zeros(2, 8)).report
    assert report.familiarity is None
    assert "familiarity" not in str(report)


def test_damaged_statistics_are_an_error_that_names_the_key(tmp_path: Path) -> None:
    save(small_ghn("graphormer"), tmp_path, CheckpointInfo("bad", familiarity={"version": 1, "mean": [1]}))
    with pytest.raises(CheckpointError, match="'mean' must be numbers, 8"):
        ghn_init.predict(nn.Linear(8, 8), tmp_path, example_inputs=torch.zeros(2, 8))


def test_ones_own_checkpoint_gets_statistics_by_a_command(tmp_path: Path) -> None:
    config = TrainConfig(steps=40, meta_batch=4, architectures=ArchitectureConfig(count=30, widths=(16,), classic=0.5))
    info = CheckpointInfo("own", training={"training": config.to_dict()})
    ghn = small_ghn("graphormer")
    save(ghn, tmp_path, info)
    run = CliRunner().invoke(app, ["familiarity", str(tmp_path), "--n", "20", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["architectures"] == 20
    statistics = statistics_of(load(tmp_path))
    assert statistics is not None
    stream = ArchitectureStream(config.architectures, config.steps, config.seed)
    drawn = {stream.draw(step, place).name for step in range(40) for place in range(4)}
    assert {one.name for one in statistics.exemplars} <= drawn
    assert statistics.calibration is None
    found = explain(Classic("plain", (1, 1, 1), 16).build(), tmp_path, example_inputs=IMAGE)
    assert found.familiarity is not None
    assert not found.familiarity.far
    assert "no threshold was calibrated" in found.verdict
    weights = (tmp_path / "model.safetensors").read_bytes()
    save(ghn, tmp_path, dataclasses.replace(info, training={}), overwrite=True)
    assert weights == (tmp_path / "model.safetensors").read_bytes()
    again = CliRunner().invoke(app, ["familiarity", str(tmp_path)])
    assert again.exit_code == 1
    assert "does not say with which settings" in again.stderr


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    page, name = tmp_path / "page.html", "layer3.0.conv1.weight"
    run = CliRunner().invoke(
        app, ["explain", "torchvision:resnet18", "--influence", name, "--out", str(page), "--json"]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["model"] == "torchvision:resnet18"
    assert found["influences"][0]["parameter"] == name
    assert len(found["layers"]) == found["nodes"] == len(ghn_init.trace(torchvision.models.resnet18()))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert name in text
    assert "<title>torchvision:resnet18, explained</title>" in text


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["resnet18", "--out", "x.pdf"], 2, "ends with .html, .json, .txt"),
        (["resnet18", "--influence", "fc.nothing"], 1, "fc.nothing is not predicted"),
        (["resnet1800"], 1, "know no network"),
    ],
)
def test_wrong_arguments(arguments: list[str], status: int, said: str) -> None:
    run = CliRunner().invoke(app, ["explain", *arguments])
    assert run.exit_code == status
    assert said in " ".join(run.stderr.replace("│", " ").split())
