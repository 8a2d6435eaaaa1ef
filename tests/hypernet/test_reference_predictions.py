"""Predictions from the published code's graphs and weights are the published code's."""

from __future__ import annotations

import pytest
import torch
from cases import records, reference_graph

MODELS = sorted(records("graphs.jsonl.gz"))
EXPECTED = records("predictions.jsonl.gz")


def summary(tensor: torch.Tensor) -> list[float]:
    flat = tensor.flatten()
    norm, total = torch.linalg.vector_norm(flat, dtype=torch.float64), flat.sum(dtype=torch.float64)
    return [norm, total, flat[0], flat[len(flat) // 2], flat[-1]]


@pytest.mark.parametrize("kind", ["ghn3", "ghn2"])
@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_the_published_ones(model, kind, published):
    ghn, graph = published(kind), reference_graph(model)
    expected = {name: values for name, values in EXPECTED[model][kind].items() if values is not None}
    plan = ghn.plan(graph)
    with torch.no_grad():
        whole = ghn(graph)
    assert list(plan.names) == list(whole)
    assert set(whole) == set(expected)
    for name, (norm, total, *elements) in expected.items():
        ours = plan.materialise(name)
        assert max(abs(edge) for edge in map(float, torch.aminmax(ours))) <= plan.bound(name) * (1 + 1e-5)
        difference = whole.pop(name).sub_(ours)
        assert max(abs(edge) for edge in map(float, torch.aminmax(difference))) < 1e-6, name
        # The reference draws the class token's row at random.
        ours_norm, ours_total, *ours_elements = summary(ours[:, plan.kept_rows(name) :] if "pos_emb" in name else ours)
        assert ours_norm == pytest.approx(norm, rel=1e-4), name
        assert ours_total == pytest.approx(total, rel=1e-4, abs=1e-5 * norm), name  # of numbers that cancel out
        assert ours_elements == pytest.approx(elements, abs=1e-5), name
