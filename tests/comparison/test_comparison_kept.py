"""Trainings that the repository keeps are taken over, and only those that were asked for are made again."""

import dataclasses
import json
from pathlib import Path

import pytest
from comparison_parts import QUICK, Tiny

from ghn_init.comparison import compare, load_data

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def kept(quick, tmp_path):
    """What benchmarks/comparison.py keeps of a comparison."""
    folder = tmp_path / "kept"
    quick.write(folder, plots=False)
    (folder / "settings.json").write_text(json.dumps({"config": dataclasses.asdict(quick.config)}))
    return folder


@pytest.fixture
def restore(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from comparison_kept import restore

    return restore


def made(out):
    """Compares in a folder, and says which trainings that took."""
    keys = []
    result = compare(Tiny, "digits", QUICK, out=out, watch=lambda at: at.latest and keys.append(at.latest.key))
    return result, keys


def test_only_what_is_wanted_again_is_trained(quick, kept, restore, tmp_path):
    out, data = tmp_path / "out", load_data("digits", QUICK)
    count = restore(kept, out, ["xavier_normal"], QUICK, data)
    own = [run for run in quick.runs if run.strategy == "default"]
    assert count == len(own) > 0
    result, keys = made(out)
    assert {strategy for _, strategy, *_ in keys} == {"xavier_normal"}
    assert len(keys) + count == len(result.runs) == len(quick.runs)
    accuracies = [{run.key: (run.accuracy, run.curve) for run in found.runs} for found in (result, quick)]
    assert accuracies[0].keys() == accuracies[1].keys()
    for key, (accuracy, curve) in accuracies[0].items():
        assert accuracy == pytest.approx(accuracies[1][key][0], abs=1e-6)
        assert [step for step, _ in curve] == [step for step, _ in accuracies[1][key][1]]


def test_a_folder_with_trainings_and_one_without_are_left_alone(kept, restore, tmp_path):
    out, data = tmp_path / "out", load_data("digits", QUICK)
    assert restore(tmp_path / "nothing", out, [], QUICK, data) == 0
    assert not out.exists()
    assert restore(kept, out, [], QUICK, data) > 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert restore(kept, out, ["default"], QUICK, data) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_trainings_with_other_settings_are_refused(kept, restore, tmp_path):
    other = dataclasses.replace(QUICK, batch_size=8)
    with pytest.raises(ValueError, match="other settings: batch_size"):
        restore(kept, tmp_path / "out", [], other, load_data("digits", other))
    assert not (tmp_path / "out").exists()
