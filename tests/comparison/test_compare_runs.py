import csv
import dataclasses
import itertools
import json
import math
import pickle

import comparison_parts as parts
import pytest
import torch
from comparison_parts import QUICK, Recording, Tiny

from ghn_init import strategies
from ghn_init.checkpoints import DEFAULT, known
from ghn_init.comparison import ComparisonError, compare
from ghn_init.comparison.starts import Starts
from ghn_init.comparison.strategies import start_with
from ghn_init.errors import ModelNotFoundError
from ghn_init.evaluation import EvaluationError
from ghn_init.strategies import StrategyError


def runs_csv(result, folder):
    result.write(folder, plots=False)
    return [(folder / name).read_bytes() for name in ("runs.csv", "curves.csv", "summary.csv")]


def test_starts_of_a_seed_see_the_same_batches_from_the_same_own_weights(tmp_path):
    seen, first = {}, {}

    def watch(progress):
        if progress.latest is not None:
            seen[progress.latest.key], first[progress.latest.key] = list(parts.SEEN), list(parts.FIRST)
        parts.SEEN.clear()
        parts.FIRST.clear()

    # the second "default" is a strategy of its own that changes nothing
    strategies.register("parts_nothing", lambda module: None, description="For tests.", replace=True)
    config = dataclasses.replace(QUICK, strategies=("xavier_normal", "parts_nothing"), augment="strong")
    result = compare(Recording, "digits", config, watch=watch)
    assert len(seen) == len(result.runs)
    by_seed = {}
    for run in result.runs:
        batches = seen[run.key]
        assert len(batches) == run.steps
        assert len(set(batches)) == run.steps
        longest = by_seed.setdefault((run.purpose, run.seed), batches)
        assert all(a == b for a, b in zip(longest, batches, strict=False))
    streams = [tuple(batches[:2]) for batches in by_seed.values()]
    assert len(set(streams)) == len(streams) == 3
    weights = {(run.strategy, run.purpose, run.seed): first[run.key] for run in result.runs}
    for purpose, seed in by_seed:
        assert weights["default", purpose, seed] == weights["parts_nothing", purpose, seed]
        assert weights["default", purpose, seed] != weights["xavier_normal", purpose, seed]
    assert len({str(value) for (strategy, *_), value in weights.items() if strategy == "default"}) == 3
    accuracies = {
        (run.strategy, run.purpose, run.steps, run.lr, run.seed): (run.accuracy, run.curve) for run in result.runs
    }
    for (strategy, *rest), found in accuracies.items():
        if strategy == "parts_nothing":
            assert found == accuracies[("default", *rest)]


def test_batches_that_a_start_learns_from_are_steps_of_its_budget():
    taken = []

    def learning(module: torch.nn.Module, *, batches: object = None) -> None:
        for _ in range(2):
            images, labels = next(batches)
            assert labels.shape == (16,)
            taken.append(parts.digest([images]))

    strategies.register("parts_learning", learning, description="For tests.", replace=True)
    seen = {}

    def watch(progress):
        if progress.latest is not None:
            seen[progress.latest.key] = list(parts.SEEN)
        parts.SEEN.clear()
        parts.FIRST.clear()

    config = dataclasses.replace(QUICK, budgets=(3, 5), strategies=("parts_learning",), seeds=1, lrs=(1e-3,))
    result = compare(Recording, "digits", config, watch=watch)
    for own, learnt in zip(
        *[iter(sorted(result.runs, key=lambda run: (run.purpose, run.steps, run.strategy)))] * 2, strict=True
    ):
        assert (own.strategy, learnt.strategy) == ("default", "parts_learning")
        whole, rest = seen[own.key], seen[learnt.key]
        assert (len(whole), len(rest)) == (own.steps, own.steps - 2)
        assert rest == whole[2:]
        assert set(whole[:2]) <= set(taken)
        if own.curve:
            assert [step for step, _ in own.curve] == [step for step, _ in learnt.curve] == [0, 1, 2, 4, 5]
            assert learnt.curve[0] == own.curve[0]  # it has its own weights until then
    assert result.analysis.overall["Recording", "parts_learning"].before.value == own.curve[0][1]


def test_a_budget_that_a_start_uses_up_is_an_error_of_that_start(tmp_path):
    config = dataclasses.replace(QUICK, budgets=(2, 9), strategies=("linear_probe:default",), seeds=1, lrs=(1e-3,))
    result = compare(Tiny, "digits", config)  # ten for each of ten classes are seven batches of 16
    found = {run.steps: run for run in result.runs if run.purpose == "test" and run.strategy != "default"}
    assert found[9].status == "ok"
    assert found[2].status == "failed"
    assert "takes 7 batches itself and leaves no step of 2" in found[2].message


def test_all_trainings_are_there(quick):
    tests = [run for run in quick.runs if run.purpose == "test"]
    wanted = itertools.product(("default", "xavier_normal"), (2, 4), (0, 1))
    assert {(run.strategy, run.steps, run.seed) for run in tests} == set(wanted)
    assert all(run.status == "ok" and 0 <= run.accuracy <= 1 for run in quick.runs)
    for run in tests:
        assert [step for step, _ in run.curve] == ([0, 1, 2, 4] if run.steps == 4 else [])
        assert not run.curve or run.curve[-1][1] == run.accuracy
        choice = quick.choice(run.model, run.strategy, run.steps)
        assert run.lr == choice.lr
        assert dict(choice.tried)[choice.lr] == max(accuracy for _, accuracy in choice.tried)


def test_killed_comparisons_go_on_and_end_the_same(quick, tmp_path):
    start = torch.multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["ghn_init.comparison"])
    process = start.Process(target=parts.compare_and_die, args=(tmp_path / "out", 1, 5))
    process.start()
    process.join(120)
    assert process.exitcode == -9
    journal = tmp_path / "out" / "runs.jsonl"
    before = journal.read_text().splitlines()
    assert len(before) == 5
    journal.write_bytes(
        journal.read_bytes() + b'{"model": "Ti'
    )  # as a process leaves it that is killed while it writes
    progress = []
    result = compare(Tiny, "digits", QUICK, out=tmp_path / "out", watch=progress.append)
    assert (progress[0].runs, progress[0].latest) == (5, None)
    assert journal.read_text().splitlines()[:5] == before
    assert len(journal.read_text().splitlines()) == len(result.runs)
    assert progress[-1].done == pytest.approx(progress[-1].total)
    assert runs_csv(result, tmp_path / "a") == runs_csv(quick, tmp_path / "b")
    compare(Tiny, "digits", QUICK, out=tmp_path / "out", watch=progress.append)
    assert len(journal.read_text().splitlines()) == len(result.runs)


def _with_larger_budget(config, folder):
    """A folder where the largest budget of a comparison was not the largest one, so that it has no curves."""
    compare(Tiny, "digits", dataclasses.replace(config, budgets=(*config.budgets, 4)), out=folder)
    return folder


def test_another_embedded_ghn_is_another_setting(tmp_path, monkeypatch):
    small = dataclasses.replace(QUICK, budgets=(2,), seeds=1, strategies=())
    compare(Tiny, "digits", small, out=tmp_path)
    exchanged = {DEFAULT: dataclasses.replace(known()[DEFAULT], sha256="0" * 64)}
    monkeypatch.setattr("ghn_init.comparison.run.known", lambda: exchanged)
    with pytest.raises(EvaluationError, match="embedded_ghn was"):
        compare(Tiny, "digits", small, out=tmp_path)


def test_other_settings_are_refused_and_more_of_the_same_is_added(quick, tmp_path):
    small = dataclasses.replace(QUICK, budgets=(2,), seeds=1, strategies=())
    compare(Tiny, "digits", small, out=tmp_path)
    before = (tmp_path / "runs.jsonl").read_text().splitlines()
    other = dataclasses.replace(small, batch_size=8)
    with pytest.raises(EvaluationError, match="batch_size was 16 and is 8"):
        compare(Tiny, "digits", other, out=tmp_path)
    with pytest.raises(EvaluationError, match=r"data\.train was"):
        compare(Tiny, "digits", dataclasses.replace(small, limit_train=280), out=tmp_path)
    assert (tmp_path / "runs.jsonl").read_text().splitlines() == before
    more = compare(Tiny, "digits", dataclasses.replace(small, seeds=2, strategies=("xavier_normal",)), out=tmp_path)
    assert (tmp_path / "runs.jsonl").read_text().splitlines()[: len(before)] == before
    assert [run.curve for run in compare(Tiny, "digits", small, out=tmp_path / "few").runs] == [
        run.curve for run in compare(Tiny, "digits", small, out=_with_larger_budget(small, tmp_path / "many")).runs
    ]
    whole = {run.key: run.accuracy for run in quick.runs}
    assert len([run for run in more.runs if run.key in whole]) == len(more.runs)
    assert all(run.accuracy == whole[run.key] for run in more.runs)


@pytest.fixture(scope="module")
def troubled():
    parts.register_all()
    specs = ("parts_raising", "parts_memory", "parts_not_numbers", "parts_zeros")
    config = dataclasses.replace(QUICK, strategies=specs, budgets=(2,), lrs=(1e-3, 1e-2))
    return compare({"tiny": Tiny, "broken": parts.broken}, "digits", config, processes=2)


def test_what_fails_is_a_row_with_its_reason(troubled):
    def found(model, strategy):
        runs = [run for run in troubled.runs if (run.model, run.strategy, run.purpose) == (model, strategy, "test")]
        assert len(runs) == 2
        return runs[0]

    assert found("tiny", "parts_raising").why == "failed: ValueError: no idea how to start this"
    assert found("tiny", "parts_memory").why == "out of memory: CUDA out of memory, it would say"
    assert found("tiny", "parts_not_numbers").why == "not finite: diverged at step 0"
    assert found("tiny", "parts_not_numbers").accuracy == 0
    assert found("tiny", "parts_not_numbers").curve == ((0, 0), (1, 0), (2, 0))
    assert found("broken", "default").why == "failed: RuntimeError: this network cannot be built"
    assert found("tiny", "default").why == found("tiny", "parts_zeros").why == ""
    cell = troubled.analysis.cells["tiny", "parts_raising", 2]
    assert (cell.failed, cell.accuracy.n) == (2, 0)
    assert troubled.analysis.cells["tiny", "parts_not_numbers", 2].diverged == 2
    text = str(troubled)
    for reason in ("no idea how to start this", "it would say", "diverged at step 0", "this network cannot be built"):
        assert reason in " ".join(text.split())
    json.dumps(troubled.to_dict(), allow_nan=False)


def test_failures_are_in_every_file(troubled, tmp_path):
    troubled.write(tmp_path, plots=False)
    with (tmp_path / "runs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["strategy"] == "parts_raising" and row["model"] == "tiny"]
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["accuracy"] for row in rows} == {""}
    assert "no idea how to start this" in (tmp_path / "report.html").read_text()
    with (tmp_path / "summary.csv").open() as file:
        failed = {row["strategy"]: row["failed"] for row in csv.DictReader(file) if row["model"] == "tiny"}
    assert failed["parts_raising"] == "2"
    assert failed["default"] == "0"


def test_failed_trainings_are_tried_again(tmp_path):
    config = dataclasses.replace(QUICK, strategies=("parts_sometimes",), reference="parts_sometimes", budgets=(2,))
    strategies.register("parts_sometimes", parts.raising, description="For tests.", replace=True)
    compare(Tiny, "digits", config, out=tmp_path)
    strategies.register("parts_sometimes", parts.zeros, description="For tests.", replace=True)
    result = compare(Tiny, "digits", config, out=tmp_path)
    assert not result.troubled()


@pytest.mark.parametrize("model", [Tiny(), torch.nn.Sequential(Tiny()), 3])
def test_a_network_that_is_there_already_is_an_error(model):
    with pytest.raises(ComparisonError, match=f"function that makes one, not {type(model).__name__}"):
        compare(model, "digits", QUICK)


def test_what_there_is_not_is_an_error_before_any_training():
    with pytest.raises(StrategyError, match="xavier_normal"):
        compare(Tiny, "digits", dataclasses.replace(QUICK, strategies=("xavier_norm",)))
    with pytest.raises(ModelNotFoundError, match="resnet18"):
        compare("resnet118", "digits", QUICK)
    with pytest.raises(ComparisonError, match="no networks"):
        compare([], "digits", QUICK)
    with pytest.raises(ComparisonError, match="two networks"):
        compare([Tiny, Tiny], "digits", QUICK)
    with pytest.raises(ComparisonError, match="can be pickled"):
        compare({"mine": lambda: Tiny()}, "digits", QUICK, processes=2)
    with pytest.raises(ComparisonError, match="not int"):
        compare([3], "digits", QUICK)


def test_what_a_result_says_is_what_the_runs_say(quick):
    analysis = quick.analysis
    for (model, strategy, steps), cell in analysis.cells.items():
        by_seed = {
            run.seed: run.accuracy
            for run in quick.runs
            if (run.model, run.strategy, run.purpose, run.steps) == (model, strategy, "test", steps)
        }
        reference = {
            run.seed: run.accuracy
            for run in quick.runs
            if (run.model, run.strategy, run.purpose, run.steps) == (model, "default", "test", steps)
        }
        assert cell.accuracy.value == pytest.approx(sum(by_seed.values()) / 2)
        differences = [by_seed[seed] - reference[seed] for seed in (0, 1)]
        assert cell.difference.value == pytest.approx(sum(differences) / 2)
        other = analysis.cells[model, {"default": "xavier_normal"}.get(strategy, "default"), steps]
        ahead = cell.accuracy.value - other.accuracy.value
        assert cell.rank == (1 if ahead > 0 else 2 if ahead < 0 else 1.5)
    own = analysis.overall["Tiny", "default"]
    assert own.speed_up.value == (pytest.approx(4 / own.steps) if own.steps else math.inf)
    curves = [dict(run.curve) for run in quick.runs if run.strategy == "default" and run.curve]
    assert own.before.value == pytest.approx(sum(curve[0] for curve in curves) / 2)


def test_other_processes_get_replaced_strategies():
    original = strategies.find("xavier_normal")
    try:
        strategies.register("xavier_normal", parts.zeros, description="For tests.", replace=True)
        sent = pickle.dumps(Starts({}, ("xavier_normal",), 10, 8, torch.device("cpu"), 0))
        strategies.register("xavier_normal", original.function, description=original.description, replace=True)
        pickle.loads(sent)
        assert strategies.find("xavier_normal").function is parts.zeros
    finally:
        strategies.register(
            "xavier_normal",
            original.function,
            description=original.description,
            citation=original.citation,
            replace=True,
        )


def test_starts_that_look_at_data_get_images():
    images = 5 * torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 2
    network = Tiny()
    assert start_with("lsuv", network, seed=0, example=images, batches=iter(())) == 0
    assert network.conv(images).std().item() == pytest.approx(1, abs=0.1)
    before = [parameter.clone() for parameter in network.parameters()]
    assert start_with("default", network, seed=0, example=images, batches=iter(())) == 0
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
