"""``ghn-init draw``."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from ghn_init.cli import app

OWN = """
from torch import nn


def net(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["draw", *map(str, arguments)])


def boxes(path: Path) -> int:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return sum(element.get("class") == "node" for element in root.iter())


def test_svg_folded_and_whole(tmp_path: Path) -> None:
    result = run("resnet18", "-o", tmp_path / "a.svg")
    assert result.exit_code == 0, result.output
    assert "wrote" in result.output
    assert run("resnet18", "-o", tmp_path / "b.svg", "--no-fold").exit_code == 0
    assert boxes(tmp_path / "a.svg") < boxes(tmp_path / "b.svg")
    assert "timm:resnet18" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_png_filters_and_json(tmp_path: Path) -> None:
    result = run(
        "split:test:3", "-o", tmp_path / "a.png", "--size", 400, 300, "--filters", tmp_path / "f.png", "--json"
    )
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (400, 300)
    told = json.loads(result.stdout)
    assert told["model"] == "test/3"
    assert told["files"] == {str(path): path.stat().st_size for path in (tmp_path / "a.png", tmp_path / "f.png")}


def test_own_networks_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drawn_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = run("drawn_own:net", "-o", "a.html", "--model-kwargs", "width=8", "--virtual-edges", 2)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "drawn_own:net" in page
    assert '"8 \\u00d7 3 \\u00d7 3 \\u00d7 3"' in page


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["resnet18"], 2, "give a file to write"),
        (["resnet18", "-o", "x.gif"], 1, "known are .svg, .png, .html"),
        (["resnet18", "--filters", "x.html"], 1, "known are .png, .svg"),
        (["resnet18", "-o", "x.svg", "--virtual-edges", "1"], 2, "virtual-edges"),
        (["resnet18", "-o", "x.svg", "--size", "1", "1"], 1, "pixels a side"),
        (["split:test", "-o", "x.svg"], 1, "split:NAME:INDEX"),
        (["split:nowhere:1", "-o", "x.svg"], 1, "out of train"),
        (["resnet18x", "-o", "x.svg"], 1, "Did you mean"),
    ],
)
def test_wrong_usage(
    arguments: list[str], status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == status
    assert words in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())
