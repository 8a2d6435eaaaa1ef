"""Influence against derivatives by finite differences and by `torch.autograd.functional`, through the forward."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from explained_graphs import chain, forked, random_graph, small_ghn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import ghn_init
from ghn_init.errors import PredictionError
from ghn_init.explain import influence
from ghn_init.explain.nodes import node_energies
from ghn_init.graph import ArchGraph
from ghn_init.hypernet import GHN
from ghn_init.hypernet.targets import targets

GNNS = ("gatedgnn", "graphormer")


def weight_from(ghn: GHN, graph: ArchGraph, name: str, features: Tensor) -> Tensor:
    """What the GHN predicts where its encoder gives such features."""
    handle = ghn.encoder.register_forward_hook(lambda *_: features)
    try:
        predicted = ghn(graph)
    finally:
        handle.remove()
    assert isinstance(predicted, dict)
    return predicted[name].flatten()


def features_of(ghn: GHN, graph: ArchGraph) -> Tensor:
    with torch.no_grad():
        return ghn.encoder([graph]).clone()


def target_of(ghn: GHN, graph: ArchGraph, name: str):  # type: ignore[no-untyped-def]
    return next(target for target in targets(graph, ghn.config)[0] if target.name == name)


@pytest.mark.parametrize("gnn", GNNS)
def test_shares_are_those_of_the_jacobian_in_these_directions(gnn: str) -> None:
    ghn, graph = small_ghn(gnn), chain()
    jacobian = torch.autograd.functional.jacobian(
        lambda features: weight_from(ghn, graph, "2.weight", features), features_of(ghn, graph)
    ).double()
    generator = torch.Generator().manual_seed(7)
    directions = torch.stack([torch.randn(4, 4, 1, 1, generator=generator).flatten() for _ in range(3)]).double()
    energies = torch.einsum("kw,wnh->knh", directions, jacobian).square().sum(dim=(0, 2))
    found = influence(ghn, graph, "2.weight", top=99, probes=3, seed=7)
    shares = {node.node: node.share for node in found.nodes}
    assert shares == pytest.approx(dict(enumerate((energies / energies.sum()).tolist())), rel=1e-3, abs=1e-6)
    assert found.own == shares[3]


@pytest.mark.parametrize("gnn", GNNS)
def test_one_direction_by_finite_differences(gnn: str) -> None:
    ghn, graph, name = small_ghn(gnn), chain(), "1.weight"
    energies = node_energies(ghn, graph, target_of(ghn, graph, name), probes=1, seed=5)
    direction = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(5)).flatten()
    features, step = features_of(ghn, graph), 2e-3
    with torch.no_grad():
        for node in (0, 1, 4):
            slopes = []
            for place in range(features.shape[1]):
                changed = [features.clone(), features.clone()]
                changed[0][node, place] += step
                changed[1][node, place] -= step
                up, down = (weight_from(ghn, graph, name, one).double() @ direction.double() for one in changed)
                slopes.append(float(up - down) / (2 * step))
            assert sum(slope * slope for slope in slopes) == pytest.approx(float(energies[node]), rel=0.05, abs=1e-4)


def test_without_edges_a_node_decides_alone() -> None:
    found = influence(small_ghn("mlp"), chain(), "1.weight")
    assert [(node.node, node.share, node.distance) for node in found.nodes] == [(2, 1.0, 0)]


def test_nodes_that_no_message_joins_have_no_influence() -> None:
    found = influence(small_ghn("gatedgnn"), forked(), "left.0", top=99)
    # messages go forwards, then backwards: what the other branch says gets to the input, and no farther
    assert {node.name for node in found.nodes} == {"x", "left.0", "left.1"}


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(GNNS))
def test_shares_of_any_graph(seed: int, gnn: str) -> None:
    ghn, graph = small_ghn(gnn), random_graph(seed)
    state = copy.deepcopy(ghn.state_dict())
    parameter = graph.nodes[-1].param or ""
    found = influence(ghn, graph, parameter, top=99, probes=2)
    shares = [node.share for node in found.nodes]
    assert shares == sorted(shares, reverse=True)
    assert math.isclose(sum(shares), 1, rel_tol=1e-6)
    assert found == influence(ghn, graph, parameter, top=99, probes=2)
    assert len(influence(ghn, graph, parameter, top=1, probes=2).nodes) == 1
    for node in found.nodes:
        if node.distance:
            pair = (node.node, len(graph) - 1) if node.distance < 0 else (len(graph) - 1, node.node)
            assert int(graph.distances[pair]) == abs(node.distance)
    assert all(torch.equal(value, state[name]) for name, value in ghn.state_dict().items())
    assert all(weight.grad is None for weight in ghn.parameters())


def test_works_where_gradients_are_off() -> None:
    ghn, graph = small_ghn(), chain()
    ghn.plan(graph)  # leaves what it computed of the graph in the graph, for the next time
    with torch.inference_mode():
        found = influence(ghn, graph, "1.weight")
    assert found == influence(ghn, chain(), "1.weight")


def test_tied_parameters_have_one_influence() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 8, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).relu())

    graph = ghn_init.trace(Tied(), example_inputs=torch.zeros(2, 8))
    found = influence(small_ghn(), graph, "second.weight")
    assert found.nodes == influence(small_ghn(), graph, "first.weight").nodes


@pytest.mark.parametrize(
    ("name", "message"), [("nothing.weight", "has no such parameter"), ("head.weight", "classifier head of 3 classes")]
)
def test_what_is_not_predicted_is_refused_with_the_reason(name: str, message: str) -> None:
    graph = ghn_init.trace(
        torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)),
        example_inputs=torch.zeros(2, 8),
    )
    wanted = {"head.weight": "2.weight"}.get(name, name)
    with pytest.raises(PredictionError, match=message):
        influence(small_ghn(), graph, wanted)
    with pytest.raises(ValueError, match="must be at least 1"):
        influence(small_ghn(), graph, "0.weight", top=0)
