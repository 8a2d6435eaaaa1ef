"""``ghn-init rank`` and ``ghn-init search`` on generated images and a tiny GHN."""

import json

import pytest
import torch
from ranked_networks import generated
from typer.testing import CliRunner

from ghn_init.cli import app
from ghn_init.images import load_images
from ghn_init.ranking import load_kept, rank, search

SMALL = ("--models", "ranked_networks:small", "--models", "ranked_networks:normed")


def run(command, files, *arguments):
    base = (command, "--ghn", str(files / "ghn"), "--data", str(files / "test.parquet"), "--batch-size", "16")
    return CliRunner().invoke(app, [*base, *map(str, arguments)])


def results(command, files, *arguments):
    found = run(command, files, *arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def untimed(data):
    for row in data["rows"]:
        row.pop("seconds")
    data.pop("files", None)
    return data


def test_rank_prints_what_the_call_finds(files, tmp_path):
    found = results("rank", files, *SMALL, "--images", 40, "--out", tmp_path / "out")
    models = ["ranked_networks:small", "ranked_networks:normed"]
    expected = rank(models, str(files / "test.parquet"), ghn=str(files / "ghn"), images=40, batch_size=16)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"ranking.jsonl", "ranking.settings.json", "ranking.json", "ranking.csv", "ranking.txt"}
    assert len(found["files"]) == 3
    assert json.loads((tmp_path / "out" / "ranking.json").read_text()) == {
        k: v for k, v in found.items() if k != "files"
    }
    assert untimed(found) == untimed(expected.to_dict())
    assert found["images"] == 40


def test_rank_prints_a_table(files):
    found = run("rank", files, *SMALL, "--top", 1)
    assert found.exit_code == 0, found.output
    assert "guessing gives 50.0 %" in found.stdout
    assert sum(name in found.stdout for name in ("ranked_networks:small", "ranked_networks:normed")) == 1


def test_budgets_are_written_as_people_do(files):
    found = results("rank", files, *SMALL, "--by", "params", "--max-parameters", "0.25k", "--max-flops", "1M")
    assert [row["name"] for row in found["rows"]] == ["ranked_networks:small"]
    assert [row["name"] for row in found["over_budget"]] == ["ranked_networks:normed"]


def test_search_writes_networks_that_can_be_read_back(files, images, tmp_path):
    arguments = ("--generator", "ranked_networks:generated", "--n", 3, "--keep", 2, "--out", tmp_path / "out")
    found = results("search", files, *arguments, "--max-parameters", "600")
    assert found["within_budget"] == 3
    assert len(found["over_budget"]) > 0
    loaded = load_kept(tmp_path / "out" / "networks", generator=generated)
    data = load_images(files / "test.parquet", "test")
    expected = search(3, data, split=generated, keep=2, max_parameters=600, ghn=str(files / "ghn"), batch_size=16)
    assert len(loaded) == 2
    by_name = {row.name: expected.module(row.name) for row in expected.rows}
    for module, row in zip(loaded, found["rows"], strict=False):
        wanted = by_name[row["name"]].state_dict()
        assert all(torch.equal(value, wanted[name]) for name, value in module.state_dict().items())
    again = results("search", files, *arguments, "--max-parameters", "600")
    assert again["rows"] == found["rows"]  # the times, too: nothing was measured again


def test_failures_are_rows_and_all_of_them_an_error(files):
    some = run("rank", files, *SMALL, "--models", "ranked_networks:unbuildable")
    assert some.exit_code == 0
    assert "LookupError" in some.stdout
    everything = run("rank", files, "--models", "ranked_networks:unbuildable")
    assert everything.exit_code == 1
    assert "LookupError" in everything.stdout
    nothing = run("search", files, "--n", 1, "--generator", "ranked_networks:generated", "--max-parameters", 5)
    assert nothing.exit_code == 1


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("rank", ("--models", "resnett*"), "no network is named like"),
        ("rank", (*SMALL, "--by", "beauty"), "cannot be ranked by"),
        ("rank", (*SMALL, "--ghn", "nowhere"), "no checkpoint 'nowhere'"),
        ("rank", (*SMALL, "--data", "nowhere"), "nowhere"),
        ("search", ("--n", 1, "--generator", "nowhere:f"), "cannot import 'nowhere'"),
        ("search", ("--n", 1, "--generator", "function"), "module:function"),
        ("search", ("--n", 1, "--split", "serach"), "unknown split"),
    ],
)
def test_mistakes_are_errors_in_one_line(files, command, arguments, words):
    found = run(command, files, *arguments)
    assert found.exit_code == 1
    assert words in found.stderr
    assert found.stderr.count("\n") == 1


def test_ctrl_c_says_where_to_go_on(files, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ghn_init.ranking.api.run", interrupted)
    found = run("rank", files, *SMALL, "--out", tmp_path)
    assert found.exit_code == 130
    assert str(tmp_path) in found.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("rank", ()),
        ("search", ()),
        ("rank", (*SMALL, "--max-parameters", "many")),
        ("rank", (*SMALL, "--max-flops", "0")),
        ("search", ("--n", 0)),
    ],
)
def test_wrong_usage_is_status_2(files, command, arguments):
    assert run(command, files, *arguments).exit_code == 2
