import csv
import json
import sys

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from rich.console import Console

from ghn_init.evaluation import EvaluationError, Report, Result, RunResult, Summary, tables, write_plots
from ghn_init.evaluation.tables import bars
from ghn_init.rendering import as_text

VALUES = {"test": (0.25, 0.5, 0.375), "deep": (0.3, 0.1), "ResNet-50": (0.586,)}


@pytest.fixture
def report():
    results = [
        Result(
            f"{column}/{index}", column, start, top1=value * share, images=50, parameters=1000 * (index + 1), depth=9
        )
        for start, share in (("predicted", 1.0), ("own", 0.5))
        for column, values in VALUES.items()
        for index, value in enumerate(values)
    ]
    results.append(Result("test/3", "test", "predicted", "out of memory", message="could not allocate"))
    results.append(Result("deep/2", "deep", "predicted", "not finite", top1=0.2, images=50, not_finite=7))
    runs = [
        RunResult("test/0", "test", start, steps, 0.1, seed, top1=0.1 * seed + shift + steps / 1000)
        for start, shift in (("predicted", 0.2), ("own", 0.1))
        for steps in (0, 10, 100)
        for seed in (0, 1, 2)
    ]
    return Report("some-ghn", "some-data", 10, 50, results, runs)


def test_the_papers_table(report):
    text = as_text(tables(report)[0])
    header = next(line for line in text.splitlines() if "ID test" in line)
    assert header.index("ID test") < header.index("Deep") < header.index("ResNet-50")
    row = next(line for line in text.splitlines() if "some-ghn" in line)
    error = 100 * scipy.stats.sem(VALUES["test"])
    assert f"37.5 ± {error:.1f} (50.0)" in row
    assert "20.0 ± 5.8 (30.0)" in row
    assert " 58.6 " in row
    assert "own initialisation" in text
    assert "guessing gives 10.0 %" in text


def test_nothing_is_dropped_in_silence(report):
    text = "\n".join(as_text(table) for table in tables(report))
    assert "could not allocate" in text
    assert "7 of 50 images, counted as wrong" in text
    assert "3 of 4" in text  # networks of the test split that have an accuracy
    summary = report.summary("test", "predicted")
    assert (summary.failed, len(summary.measured)) == (1, 3)
    assert [entry["name"] for entry in report.to_dict()["troubled"]] == ["test/3", "deep/2"]


def test_the_finetuning_table(report):
    text = as_text(next(table for table in tables(report) if "fine-tuning" in str(table.title)))
    lines = text.splitlines()
    assert "0 steps" in text
    assert "100 steps" in text
    assert "1 x 2" in text
    assert "35.0 ± 5.0" in next(line for line in lines if "some-ghn" in line)
    assert "10.0 ± 0.0" in next(line for line in lines if "difference" in line)


def test_top5_has_a_table_where_there_is_any(report):
    assert not any("top-5" in str(table.title) for table in tables(report))
    many = Report("g", "d", 100, None, [Result("a", "test", "predicted", top1=0.1, top5=0.4)])
    assert "40.0" in as_text(next(table for table in tables(many) if "top-5" in str(table.title)))


def test_files_hold_what_was_found(report, tmp_path):
    paths = report.write(tmp_path)
    assert [path.name for path in paths] == ["results.json", "networks.csv", "finetune.csv"]
    found = json.loads((tmp_path / "results.json").read_text())
    column = found["columns"]["test"]["predicted"]
    assert column["mean"] == pytest.approx(np.mean(VALUES["test"]))
    assert column["best"] == 0.5
    assert sum(column["histogram"]) == 3
    assert found["columns"]["ResNet-50"]["predicted"]["standard_error"] is None
    assert [row["steps"] for row in found["finetune"]] == [0, 10, 100]
    with (tmp_path / "networks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.results)
    assert [float(row["top1"]) for row in rows if row["top1"]] == [r.top1 for r in report.results if r.top1 is not None]
    assert rows[-2]["status"] == "out of memory"


def test_plots_are_pictures(report, tmp_path):
    paths = write_plots(report, tmp_path)
    assert {path.name for path in paths} == {"histograms.png", "accuracy_by_size.png", "finetune.png"}
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").resize((64, 64)).getcolors(4096)) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)


def test_plots_of_single_networks_and_of_failures_alone(tmp_path):
    single = Report("g", "d", 10, None, [Result("resnet18", "resnet18", "predicted", top1=0.4, parameters=10, depth=2)])
    assert len(write_plots(single, tmp_path)) == 2
    failed = Report("g", "d", 10, None, [Result("a", "test", "predicted", "failed", message="no")])
    assert write_plots(failed, tmp_path) == []
    assert "no" in as_text(tables(failed)[-1])


def test_plots_without_matplotlib_say_what_to_install(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EvaluationError, match=r"ghn-init\[train\]"):
        write_plots(report, tmp_path)


def test_bars_are_as_high_as_counts():
    counts = Summary((0.1, 0.12, 0.13, 0.97)).histogram(10)
    assert bars(counts) == "·█·······▃"
    assert bars([0, 0]) == "··"


def test_no_number_is_cut_off_on_a_narrow_terminal(report):
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(*tables(report))
    assert "…" not in capture.get()
    assert report.summary("test", "predicted").histogram() == (0,) * 5 + (1, 0, 1, 0, 0, 1) + (0,) * 9
    assert "·····█·█··█·········" in capture.get()
