from __future__ import annotations

import torch
from cases import config, little_graph, reference_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet import gatedgnn
from ghn_init.hypernet.gatedgnn import GatedGNN, topological_levels


def one_by_one(gnn: GatedGNN, states: torch.Tensor, graph: ArchGraph) -> torch.Tensor:
    """Equations 3 and 4 of Knyazev et al., 2021, one node after the other."""
    paths = graph.adjacency(gnn.reach)
    states = list(states)
    order = range(len(graph))
    for nodes, lengths in ((order, paths.t()), (reversed(order), paths)):
        for node in nodes:
            message = torch.zeros_like(states[node])
            for other in order:
                if lengths[node, other] == 1:
                    message = message + gnn.message(states[other])
                if lengths[node, other] >= 1 and gnn.virtual_message is not None:
                    message = message + gnn.virtual_message(states[other]) / int(lengths[node, other])
            states[node] = gnn.gru(message[None], states[node][None])[0]
    return torch.stack(states)


@st.composite
def dags(draw) -> ArchGraph:
    size = draw(st.integers(1, 9))
    pairs = [(start, end) for end in range(size) for start in range(end)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return ArchGraph((Node("input"), *(Node("sum"),) * (size - 1)), tuple(edges))


@settings(deadline=None)
@given(st.lists(dags(), min_size=1, max_size=3), st.booleans())
def test_visits_nodes_as_if_one_by_one(graphs, virtual_edges):
    torch.manual_seed(0)
    gnn = GatedGNN(config(gnn="gatedgnn", virtual_edges=virtual_edges, cutoff=3))
    states = [torch.randn(len(graph), 16) for graph in graphs]
    with torch.no_grad():
        together = gnn(torch.cat(states), graphs).split([len(graph) for graph in graphs])
        for graph, state, result in zip(graphs, states, together, strict=True):
            torch.testing.assert_close(result, one_by_one(gnn, state, graph), rtol=1e-5, atol=1e-6)


def test_large_meta_batches_are_cut(monkeypatch):
    graphs = [little_graph(), reference_graph("resnet18"), little_graph()]
    gnn = GatedGNN(config(gnn="gatedgnn"))
    states = torch.randn(sum(map(len, graphs)), 16)
    whole = gnn(states, graphs)
    monkeypatch.setattr(gatedgnn, "NODES_AT_ONCE", 60)
    torch.testing.assert_close(gnn(states, graphs), whole)


def test_levels_are_longest_paths():
    graph = ArchGraph((Node("input"),) + (Node("sum"),) * 4, ((0, 1), (1, 2), (0, 2), (2, 4), (0, 3)))
    assert topological_levels(graph) == [0, 1, 2, 1, 3]


def test_message_mlps_have_the_published_widths():
    with_virtual, without = GatedGNN(config(gnn="gatedgnn")), GatedGNN(config(gnn="gatedgnn", virtual_edges=False))
    assert with_virtual.message.first.out_features == 8
    assert without.message.first.out_features == 16
    assert isinstance(with_virtual.gru, nn.GRUCell)
    assert without.virtual_message is None


def test_follows_a_published_graph():
    gnn, graph = GatedGNN(config(gnn="gatedgnn")), reference_graph("squeezenet1_1")
    states = torch.randn(len(graph), 16)
    with torch.no_grad():
        torch.testing.assert_close(gnn(states, [graph]), one_by_one(gnn, states, graph), rtol=1e-4, atol=1e-5)
