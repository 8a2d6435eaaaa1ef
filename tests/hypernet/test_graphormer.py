from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from cases import config, little_graph, reference_graph

from ghn_init.hypernet import attention, batches, graphormer
from ghn_init.hypernet.attention import PairBias, attend
from ghn_init.hypernet.graphormer import Graphormer


def pair_by_pair(gnn: Graphormer, states: torch.Tensor, graph) -> torch.Tensor:
    """Section 3.1 of Knyazev et al., 2023, with an embedding for each pair of nodes, and torch's own layers."""
    paths = graph.adjacency(gnn.reach).long()
    states = (
        states + gnn.in_degree((paths == 1).sum(0)) + gnn.out_degree((paths == 1).sum(1)) + gnn.input_distance(paths[0])
    )
    both = torch.stack((paths, paths.t()), dim=-1) + 2
    bias = gnn.bias.out(F.relu(gnn.bias.hidden(gnn.bias.distance(both).flatten(2))))
    for layer in gnn.layers:
        attention = torch.nn.MultiheadAttention(states.shape[1], layer.heads, batch_first=True)
        attention.load_state_dict(
            {
                "in_proj_weight": layer.qkv.weight,
                "in_proj_bias": torch.zeros(3 * states.shape[1]),
                "out_proj.weight": layer.project.weight,
                "out_proj.bias": layer.project.bias,
            }
        )
        normed = layer.norm_attention(states)[None]
        mixed, _ = attention(normed, normed, normed, attn_mask=bias.permute(2, 0, 1), need_weights=False)
        states = states + mixed[0]
        states = states + layer.contract(F.gelu(layer.expand(layer.norm_feedforward(states))))
    return states


def test_equals_its_definition():
    torch.manual_seed(0)
    gnn = Graphormer(config()).eval()
    for graph in (little_graph(), reference_graph("resnet18")):
        states = torch.randn(len(graph), 16)
        with torch.no_grad():
            torch.testing.assert_close(gnn(states, [graph]), pair_by_pair(gnn, states, graph), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [1, 1.5, 100])
def test_graphs_of_a_batch_do_not_see_each_other(padding, monkeypatch):
    """However many of them are padded to a common size."""
    monkeypatch.setattr(batches, "MOST_PADDING", padding)
    gnn = Graphormer(config())
    graphs = [little_graph(), reference_graph("resnet18"), reference_graph("alexnet")]
    states = [torch.randn(len(graph), 16) for graph in graphs]
    with torch.no_grad():
        together = gnn(torch.cat(states), graphs).split([len(graph) for graph in graphs])
        for graph, state, result in zip(graphs, states, together, strict=True):
            torch.testing.assert_close(result, gnn(state, [graph]), rtol=1e-5, atol=1e-5)


def test_few_heads_at_a_time_make_no_difference(monkeypatch):
    query, key, value = torch.randn(3, 2, 4, 11, 6)
    values, pairs = torch.randn(4, 5), torch.randint(5, (2, 11, 11), dtype=torch.int32)
    absent = torch.arange(11) >= torch.tensor([[11], [7]])
    mask = torch.stack([values[:, graph.long()] for graph in pairs]).masked_fill(absent[:, None, None], -math.inf)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    for at_once in (10**6, 500):
        monkeypatch.setattr(attention, "SCORES_AT_ONCE", at_once)
        for keep in (True, False):
            bias = PairBias(values, pairs, absent, keep)
            torch.testing.assert_close(attend(query, key, value, bias), expected)


@pytest.mark.parametrize("share", [0, 10**6])
def test_bias_that_is_not_kept_is_the_same(share, monkeypatch):
    torch.manual_seed(0)
    gnn, graphs = Graphormer(config()), [little_graph(), reference_graph("alexnet")]
    states = torch.randn(sum(map(len, graphs)), 16)
    expected = gnn(states, graphs)
    monkeypatch.setattr(graphormer, "BIAS_SHARE", share)
    with torch.no_grad():
        assert torch.equal(gnn(states, graphs), expected)
