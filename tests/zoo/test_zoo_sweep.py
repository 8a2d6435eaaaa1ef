"""The sweep's machinery: workers that crash or hang, files that continue, tables, exit status."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def sweep(monkeypatch):
    """Runs the sweep with the given arguments; returns its exit status."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import zoo_sweep

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["zoo_sweep.py", *map(str, arguments)])
        return zoo_sweep.main()

    return run


def _work(what: str) -> dict[str, int]:
    if what == "crash":
        os._exit(3)
    if what == "hang":
        time.sleep(600)
    return {"answer": len(what)}


def test_a_crash_or_a_hang_costs_one_task(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from zoo_pool import results

    tasks = [("crash",), ("one",), ("hang",), ("three",)]
    found = dict(results(_work, tasks, processes=2, timeout=4))

    assert found[("one",)] == {"answer": 3}
    assert found[("three",)] == {"answer": 5}
    assert "status 3" in found[("crash",)]["error"]
    assert "no result after 4 s" in found[("hang",)]["error"]


def test_sweep_continues_and_tells(sweep, tmp_path):
    out = tmp_path / "zoo.jsonl"
    arguments = ("--zoo", "timm", "--names", "test_vit", "test_resnet", "--processes", 1, "--out", out)
    failed = {"zoo": "timm", "name": "test_resnet", "family": "resnet", "stage": "trace", "error": "Error: no"}
    out.write_text(json.dumps(failed) + "\n" + '{"zoo": "ti')  # the second line was cut off

    assert sweep(*arguments) == 1  # continues: what failed before stays so
    assert "Error: no" in out.with_suffix(".md").read_text()
    assert sweep(*arguments, "--retry") == 0

    rows = {row["name"]: row for row in csv.DictReader(out.with_suffix(".csv").read_text().splitlines())}
    assert set(rows) == {"test_vit", "test_resnet"}
    assert rows["test_resnet"]["share"] == "1.0"
    assert rows["test_vit"]["left_alone"] == ""
    summary = out.with_suffix(".md").read_text()
    assert "Failures" not in summary
    assert "| vision_transformer | 1 |" in summary
    assert sweep("--zoo", "timm", "--names", "no_such_*", "--out", out) == 2
