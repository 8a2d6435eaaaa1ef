"""Scores and distances against scikit-learn and SciPy, and statistics that are not what they must be."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from explained_graphs import chain, random_graph, small_ghn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group, percentileofscore
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from ghn_init.errors import CheckpointError
from ghn_init.explain import fit_familiarity
from ghn_init.explain.fit import whitened
from ghn_init.explain.layers import node_distances, strange_nodes
from ghn_init.explain.nearest import nearest
from ghn_init.explain.score import judged, percentile
from ghn_init.explain.stored import from_dict, to_dict
from ghn_init.graph import ArchGraph, Node

GHN = small_ghn("graphormer")
TYPES = GHN.config.node_types
GRAPHS = [random_graph(seed) for seed in range(60)]


def states_of(graph: ArchGraph) -> np.ndarray[Any, np.dtype[np.float64]]:
    with torch.no_grad():
        return GHN.embed([graph])[0].double().numpy()


STATES = [states_of(graph) for graph in GRAPHS]
EMBEDDINGS = np.stack([states.mean(axis=0) for states in STATES])
DATA = fit_familiarity(GHN, GRAPHS, source="sixty graphs", exemplars=30)
FITTED = from_dict(DATA, 8)


def shares_of(graph: ArchGraph) -> list[float]:
    return [sum(node.type == name for node in graph.nodes) / len(graph.nodes) for name in TYPES]


def test_the_score_is_made_of_two_of_scikit_learns_distances() -> None:
    pca = PCA(n_components=8, whiten=True).fit(EMBEDDINGS)
    counting = int((np.cumsum(pca.explained_variance_ratio_) < 0.9).sum()) + 1
    assert FITTED.components == counting
    composition = LedoitWolf().fit(np.array([shares_of(graph) for graph in GRAPHS]))
    types = len({node.type for graph in GRAPHS for node in graph.nodes})
    for graph in [*GRAPHS[:5], *(random_graph(seed) for seed in range(100, 105)), chain(7)]:
        embedding = states_of(graph).mean(axis=0)
        first = (pca.transform(embedding[None])[0, :counting] ** 2).sum() / counting
        second = composition.mahalanobis(np.array([shares_of(graph)]))[0] / (types - 1)
        assert judged(graph, embedding, FITTED).score == pytest.approx(((first + second) / 2) ** 0.5, rel=2e-3)


def test_distances_of_nodes_are_those_of_scikit_learn() -> None:
    names = np.array([node.type for graph in GRAPHS for node in graph.nodes])
    states = np.concatenate(STATES)
    means = {name: states[names == name].mean(axis=0) for name in set(names.tolist())}
    within = LedoitWolf().fit(states - np.stack([means[name] for name in names]))
    for graph, rows in zip(GRAPHS[:5], STATES, strict=False):
        centred = rows - np.stack([means[node.type] for node in graph.nodes])
        expected = (centred * np.linalg.solve(within.covariance_, centred.T).T).sum(axis=1) ** 0.5
        assert node_distances(graph, rows, FITTED) == pytest.approx(expected.tolist(), rel=2e-3)


def test_nearest_are_the_nearest() -> None:
    pca = PCA(n_components=len(FITTED.whitening), whiten=True).fit(EMBEDDINGS)
    places, own = pca.transform(EMBEDDINGS[:30]), pca.transform(EMBEDDINGS[3][None])
    found = nearest(EMBEDDINGS[3], FITTED, 4)
    assert [one.name for one in found] == [f"ArchGraph {i}" for i in np.linalg.norm(places - own, axis=1).argsort()[:4]]
    assert found[0].distance == pytest.approx(0, abs=0.05)
    assert found[0].nodes == len(GRAPHS[3])
    shapes = [np.prod(node.shape) for node in GRAPHS[3].nodes if node.shape]
    assert found[0].parameters == sum(shapes)


@given(st.floats(-3, 3), st.lists(st.floats(-2, 2), min_size=1, max_size=300))
def test_percentiles_are_about_scipys(value: float, sample: list[float]) -> None:
    quantiles = np.quantile(sample, np.linspace(0, 1, 101))
    low, high = (percentileofscore(sample, value, kind) for kind in ("strict", "weak"))  # type: ignore[arg-type]
    step = 100 / max(1, len(sample) - 1) + 1
    assert low - step <= percentile(value, quantiles) <= high + step
    assert percentile(value, quantiles) <= percentile(value + 1, quantiles)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_distances_do_not_depend_on_the_coordinates(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    turned = scale * rows @ ortho_group.rvs(5, random_state=seed)
    distances = [np.linalg.norm((some - some.mean(axis=0)) @ whitened(some).T, axis=1) for some in (rows, turned)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-6)


def test_statistics_survive_a_file() -> None:
    again = from_dict(json.loads(json.dumps(DATA)), 8)
    assert to_dict(again) == DATA
    assert fit_familiarity(GHN, iter(GRAPHS), source="sixty graphs", exemplars=30) == DATA


def test_scores_of_the_architectures_themselves_are_spread_over_the_percentiles() -> None:
    ranks = [judged(graph, own, FITTED).percentile for graph, own in zip(GRAPHS, EMBEDDINGS, strict=True)]
    assert 35 < float(np.mean(ranks)) < 60  # a little nearer than the unseen, by whom the percentiles are


def test_what_is_strange_is_said() -> None:
    nodes = (
        Node("input", source="x"),
        Node("conv", "large", (8, 8, 31, 31), source="large"),
        Node("conv", "wide", (512, 8, 3, 3), source="wide"),
        Node("ln", "other", (8,), source="other"),
        Node("bn", "usual", (8,), source="usual"),
    )
    graph = ArchGraph(nodes, ((0, 1), (1, 2), (2, 3), (3, 4)))
    found = {node.name: node for node in strange_nodes(GHN, graph, states_of(graph), FITTED)}
    assert "kernel 31 x 31, seen up to 3" in found["large"].reasons
    assert "512 out channels, seen up to 16" in found["wide"].reasons
    assert found["other"].reasons == ("no ln node was seen",)
    assert found["other"].distance is None
    assert not any("channels" in reason or "kernel" in reason for reason in found["usual"].reasons)
    order = [node.name for node in strange_nodes(GHN, graph, states_of(graph), FITTED)]
    assert set(order[:3]) == {"large", "wide", "other"}


def test_too_few_architectures() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        fit_familiarity(GHN, GRAPHS[:19])


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), 2, "'version' must be 1"),
        (("version",), True, "'version' must be there, of type int"),
        (("mean",), [0.0] * 7, "'mean' must be numbers, 8"),
        (("mean",), ["0"] * 8, "'mean' must be numbers"),
        (("mean",), [True] * 8, "'mean' must be numbers"),
        (("mean",), [float("inf")] * 8, "'mean' must be finite"),
        (("whitening",), [[0.0] * 8, [0.0]], "'whitening' must be numbers, n x 8"),
        (("whitening",), [], "'whitening' must be numbers"),
        (("components",), 99, "'components' must be from 1 to 7"),
        (("components",), 0, "'components' must be from 1 to 7"),
        (("composition", "types"), [1], "'types' must be a list of texts"),
        (("composition", "mean"), [0.0], "'mean' must be numbers"),
        (("quantiles",), list(range(100, -1, -1)), "'quantiles' must be numbers in ascending order"),
        (("types", "conv"), 3, "'types' must be objects, which conv is not"),
        (("types",), {}, "'types' must be there, and not empty"),
        (("types", "conv", "mean"), None, "types conv: 'mean' must be there, of type list"),
        (("source",), None, "'source' must be there, of type str"),
        (("calibration",), {"threshold": "x", "rule": "", "evidence": ""}, "'threshold' must be a number"),
    ],
)
def test_damaged_statistics_are_refused_by_name(path: tuple[str, ...], value: Any, said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        from_dict(changed(path, value), 8, "here/config.json")
    assert said in str(caught.value)
    assert str(caught.value).startswith("here/config.json: 'familiarity'")
