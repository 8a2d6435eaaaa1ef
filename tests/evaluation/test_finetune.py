import dataclasses
import json
import statistics

import pytest
import scipy.stats
import torch
from torch import nn
from torch.nn import functional as F

from ghn_init.evaluation import (
    EvaluationError,
    FinetuneConfig,
    FinetuneSetup,
    NamedNetwork,
    RunResult,
    Setup,
    compare,
    finetune_networks,
)
from ghn_init.evaluation import finetune as finetune_module
from ghn_init.evaluation.compare import best_lrs
from ghn_init.evaluation.finetune import Run, finetune, starting_point, train

SUBJECT = NamedNetwork("tiny_networks:without_norm")


@pytest.fixture
def context(make_ghn, images):
    kept, held_out = images.split(24)
    config = FinetuneConfig((2, 6), lrs=(1e-4, 0.3), seeds=2, batch_size=16)
    return FinetuneSetup(Setup(make_ghn(), images, image_size=16, batch_size=32), kept, held_out, config)


def test_training_is_torchs_sgd_with_a_cosine():
    torch.manual_seed(0)
    ours, theirs = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    theirs.load_state_dict(ours.state_dict())
    batches = [(torch.randn(4, 3, 2, 2), torch.randint(0, 3, (4,))) for _ in range(5)]
    assert train(ours, batches, 5, 0.5, FinetuneConfig((5,), clip=100.0))
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.5, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 5)
    for x, y in batches:
        optimiser.zero_grad()
        F.cross_entropy(theirs(x), y).backward()
        optimiser.step()
        schedule.step()
    torch.testing.assert_close(ours[1].weight, theirs[1].weight)
    assert not ours.training


def test_training_ends_where_the_loss_is_not_finite():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    before = network[1].weight.clone()
    assert not train(
        network, [(torch.full((2, 3, 1, 1), torch.nan), torch.tensor([0, 1]))], 1, 0.1, FinetuneConfig((1,))
    )
    assert torch.equal(network[1].weight, before)
    assert not network.training


def test_both_starts_see_the_same_images(context, monkeypatch):
    seen = {}

    def watched(network, batches, steps, lr, config):
        batches = list(batches)
        seen.setdefault(current, []).append(batches)
        return train(network, batches, steps, lr, config)

    monkeypatch.setattr(finetune_module, "train", watched)
    for start in ("predicted", "own"):
        for seed in (1, 2):
            current = start
            assert finetune(context, Run(SUBJECT, start, 3, 0.1, seed)).status == "ok"
    for one, other in zip(seen["predicted"], seen["own"], strict=True):
        for (x, y), (x_other, y_other) in zip(one, other, strict=True):
            assert torch.equal(x, x_other)
            assert torch.equal(y, y_other)
    assert not torch.equal(seen["own"][0][0][0], seen["own"][1][0][0])


def test_starting_points(context):
    setup = context.setup
    predicted = dict(starting_point(setup, SUBJECT, "predicted", 1).named_parameters())
    with torch.no_grad():
        bare = setup.ghn(SUBJECT.skeleton(2, 16).graph)
    assert predicted.keys() == bare.keys()
    for name, value in bare.items():
        noise = (predicted[name] - value).abs()
        assert 0 < noise.max() < 1e-4
    own = [starting_point(setup, SUBJECT, "own", seed).conv.weight for seed in (1, 1, 2)]
    assert torch.equal(own[0], own[1])
    assert not torch.equal(own[0], own[2])


def test_a_run_is_a_function_of_its_key(context):
    run = Run(SUBJECT, "own", 4, 0.1, 1)
    first, second = finetune(context, run), finetune(context, run)
    assert dataclasses.replace(first, seconds=0) == dataclasses.replace(second, seconds=0)


def test_training_helps_where_classes_are_easy(context):
    run = Run(SUBJECT, "own", 60, 0.1, 1)
    before, after = finetune(context, dataclasses.replace(run, steps=0)), finetune(context, run)
    assert after.top1 > max(0.9, before.top1)


def test_the_whole_study_and_its_continuation(context, tmp_path):
    seen = []
    results = finetune_networks(context, [SUBJECT], out=tmp_path, watch=lambda *what: seen.append(what))
    # both starts: 2 budgets x 2 rates to tune, 2 seeds x (0 steps and 2 budgets)
    assert [(done, total) for done, total, _ in seen] == [(number, 20) for number in range(1, 21)]
    rows = [json.loads(line) for line in (tmp_path / "finetune.jsonl").read_text().splitlines()]
    assert [RunResult(**row) for row in rows] == [result for _, _, result in seen]
    chosen = best_lrs(results)
    assert set(chosen) == {(SUBJECT.name, start, steps) for start in ("predicted", "own") for steps in (2, 6)}
    for result in results:
        if result.seed and result.steps:
            assert result.lr == chosen[SUBJECT.name, result.start, result.steps]

    seen.clear()
    more = dataclasses.replace(context, config=dataclasses.replace(context.config, seeds=3))
    again = finetune_networks(more, [SUBJECT], out=tmp_path, watch=lambda *what: seen.append(what))
    assert len(seen) == 6  # the third seed, and nothing else
    assert {result.key for result in results} <= {result.key for result in again}
    other = dataclasses.replace(context, config=dataclasses.replace(context.config, optimiser="adamw"))
    with pytest.raises(EvaluationError, match="optimiser was 'sgd' and is 'adamw'"):
        finetune_networks(other, [SUBJECT], out=tmp_path)


def result(name, start, seed, top1, steps=5, lr=0.1, **more):
    return RunResult(name, "test", start, steps, lr, seed, top1=top1, **more)


def test_learning_rates_are_chosen_on_held_out_images_without_those_that_diverged():
    tuned = [
        result("a", "own", 0, 0.5, lr=0.1),
        result("a", "own", 0, 0.6, lr=0.2),
        result("a", "own", 0, 0.6, lr=0.3),
        result("a", "own", 0, 0.9, lr=0.4, diverged=True),
        result("a", "own", 0, None, lr=0.5, status="out of memory"),
        result("a", "own", 1, 1.0, lr=0.6),
    ]
    assert best_lrs(tuned) == {("a", "own", 5): 0.2}


def test_comparison_agrees_with_scipy():
    predicted = {"a": (0.5, 0.7), "b": (0.3, 0.2), "c": (0.9, 0.7)}
    own = {"a": (0.4, 0.5), "b": (0.3, 0.3), "c": (0.6, 0.8)}
    runs = [
        result(name, start, seed, value)
        for start, values in (("predicted", predicted), ("own", own))
        for name, both in values.items()
        for seed, value in enumerate(both, 1)
    ]
    row = compare([*runs, result("d", "own", 1, 0.1), result("d", "predicted", 1, None, status="failed")])[0]
    p, o = ([statistics.fmean(values[name]) for name in "abc"] for values in (predicted, own))
    assert (row.networks, row.seeds, row.left_out) == (3, 2, ("d",))
    assert row.predicted.mean == pytest.approx(statistics.fmean(p))
    assert row.own.standard_error == pytest.approx(scipy.stats.sem(o))
    assert row.difference.mean / row.difference.standard_error == pytest.approx(scipy.stats.ttest_rel(p, o).statistic)


def test_the_error_of_one_network_is_over_its_seeds():
    runs = [result("a", "own", seed, 0.1 * seed) for seed in (1, 2, 3)]
    runs += [result("a", "predicted", seed, 0.2 * seed) for seed in (1, 2, 3)]
    row = compare(runs)[0]
    assert row.difference.standard_error == pytest.approx(scipy.stats.sem([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("wrong", [{"optimiser": "lamb"}, {"budgets": ()}, {"lrs": (-1.0,)}, {"seeds": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"optimiser|positive"):
        FinetuneConfig(**{"budgets": (1,), **wrong})
