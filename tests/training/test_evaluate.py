import dataclasses
import math
import statistics

import pytest
import torch
from torch import nn

from ghn_init.deepnets import Architecture, sample
from ghn_init.training.data import Images
from ghn_init.training.evaluate import Summary, accuracy, evaluate, use_batch_statistics
from ghn_init.training.pool import build, load_pool, save_pool, training_architectures


class Brightness(nn.Module):
    """Class 1 for images brighter than the middle."""

    def forward(self, x):
        bright = x.mean(dim=(1, 2, 3))
        return torch.stack([-bright, bright], dim=1)


def test_accuracy_of_a_known_classifier(images):
    assert accuracy(Brightness(), images, batch_size=7) == 1.0
    wrong = images.labels.clone()
    wrong[:16] = 1 - wrong[:16]
    assert accuracy(Brightness(), Images(images.pixels, wrong), batch_size=7) == 0.75


def test_accuracy_takes_other_parameters(images):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    weight = torch.stack([-torch.ones(768), torch.ones(768)])
    parameters = {"1.weight": weight, "1.bias": torch.zeros(2)}
    assert accuracy(network, images, parameters=parameters) == 1.0


def test_batch_statistics_in_evaluation_mode():
    network = nn.Sequential(nn.BatchNorm2d(3)).eval()
    x = 5 + 3 * torch.randn(50, 3, 8, 8)
    assert network(x).mean() > 4
    assert use_batch_statistics(network)(x).mean().abs() < 1e-3


def test_summary():
    values = (0.1, 0.2, 0.6)
    summary = Summary(values)
    assert summary.mean == pytest.approx(0.3)
    assert summary.standard_error == pytest.approx(statistics.stdev(values) / math.sqrt(3))
    assert summary.to_dict()["best"] == 0.6
    assert math.isnan(Summary((0.5,)).standard_error)


def test_evaluate_leaves_the_ghn_in_its_mode(make_ghn, pool, images):
    ghn = make_ghn().train()
    summary = evaluate(ghn, [build(entry.architecture, image_size=16) for entry in pool[:2]], images)
    assert len(summary.accuracies) == 2
    assert ghn.training


def test_pools_survive_the_disk(pool, tmp_path):
    path = tmp_path / "pool.jsonl"
    save_pool(pool, path)
    for before, after in zip(pool, load_pool(path), strict=True):
        assert after.architecture == before.architecture
        assert after.graph == before.graph
        assert after.image_size == 16
        assert after.size == before.size


def test_training_architectures_follow_the_train_split():
    made = training_architectures(40, [16, 24], max_cells=8, classics=0.5)
    cells = [a for a in made if isinstance(a, Architecture)]
    assert 8 < len(cells) < 32
    assert {a.width for a in made} == {16, 24}
    assert max(a.n_cells for a in cells) <= 8
    first = next(a for a in (sample("train", i) for i in range(50)) if a.n_cells <= 8)
    assert dataclasses.replace(first, width=cells[0].width) == cells[0]
    assert made == training_architectures(40, [16, 24], max_cells=8, classics=0.5)
