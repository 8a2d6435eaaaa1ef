from __future__ import annotations

import math

import pytest
import torch
from cases import CONFIGS, config, little_graph, make, reference_graph
from torch import nn
from torch.func import functional_call

from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet import GHN

CUDA = pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA")])


def square_mean(predictions: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    return torch.stack([tensor.square().mean() for each in predictions for tensor in each.values()]).sum()


def test_predicts_every_parameter_in_its_shape(ghn):
    graph = little_graph()
    predictions = ghn(graph)
    expected = {node.param: node.param_shape or node.shape for node in graph.nodes if node.param is not None} | {
        "a.norm_bias": (24,)
    }
    assert {name: tuple(tensor.shape) for name, tensor in predictions.items()} == expected
    assert all(tensor.isfinite().all() and tensor.dtype == torch.float32 for tensor in predictions.values())


def test_gradients_reach_every_weight(ghn):
    graphs = [little_graph("a"), little_graph("b")]
    square_mean(ghn(graphs)).backward()
    # Degrees, distances and shapes that do not occur leave rows of embeddings without a gradient, but no whole weight.
    without = {name for name, parameter in ghn.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert without == set()


def test_gradients_are_those_of_the_predictions():
    ghn, graph = make(config(hid=8, max_shape=(4, 4, 5, 5))).double(), little_graph()
    ghn._states = lambda graphs: ghn.norm(ghn.gnn(ghn.encoder(graphs), graphs))  # as in forward, but in float64
    weight = ghn.decoder.mix.weight
    square_mean([ghn(graph)]).backward()
    direction, step = torch.randn_like(weight), 1e-5
    with torch.no_grad():
        weight += step * direction
        above = square_mean([ghn(graph)])
        weight -= 2 * step * direction
        below = square_mean([ghn(graph)])
    assert float((above - below) / (2 * step)) == pytest.approx(float((weight.grad * direction).sum()), rel=1e-5)


def test_a_batch_is_as_good_as_one_at_a_time(ghn):
    graphs = [little_graph("a"), reference_graph("squeezenet1_1"), little_graph("b")]
    with torch.no_grad():
        together = ghn(graphs)
        for graph, predictions in zip(graphs, together, strict=True):
            alone = ghn(graph)
            assert list(alone) == list(predictions)
            for name, tensor in alone.items():
                torch.testing.assert_close(predictions[name], tensor, rtol=1e-4, atol=1e-5)
        embedded = ghn.embed(graphs)
        assert [tuple(states.shape) for states in embedded] == [(len(graph), 16) for graph in graphs]
        torch.testing.assert_close(embedded[1], ghn.embed([graphs[1]])[0], rtol=1e-4, atol=1e-4)
    assert ghn([]) == []


def test_same_graph_same_bits(ghn):
    graph = little_graph()
    with torch.no_grad():
        first, second = ghn(graph), ghn(graph)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_trains_a_network():
    """The network's loss, with predicted weights, falls as the GHN learns."""
    net = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 7)
    )
    nodes = (
        Node("input"),
        Node("conv", "0.weight", (24, 3, 3, 3)),
        Node("bias", "0.bias", (24,)),
        Node("glob_avg"),
        Node("conv", "4.weight", (7, 24), head=True),
        Node("bias", "4.bias", (7,), head=True),
    )
    graph = ArchGraph(nodes, tuple((index, index + 1) for index in range(5)))
    torch.manual_seed(0)
    ghn, images, labels = GHN(config()), torch.randn(14, 3, 8, 8), torch.arange(14) % 7
    optimiser = torch.optim.AdamW(ghn.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(functional_call(net, ghn(graph), images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_bfloat16_autocast_is_close(name, device):
    ghn, graph = make(CONFIGS[name]).to(device), little_graph()
    exact = ghn(graph)
    with torch.autocast(device, dtype=torch.bfloat16):
        rough = ghn(graph)
    square_mean([rough]).backward()
    assert all(parameter.grad.isfinite().all() for parameter in ghn.parameters())
    for parameter, tensor in exact.items():
        assert rough[parameter].dtype == torch.float32
        assert (rough[parameter] - tensor).norm() < 0.05 * tensor.norm() + 1e-3


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA")
def test_cuda_agrees_with_cpu(ghn):
    graph = little_graph()
    expected = ghn(graph)
    for name, tensor in ghn.cuda()(graph).items():
        torch.testing.assert_close(tensor.cpu(), expected[name], rtol=1e-3, atol=1e-4)


def test_head_can_be_left_out(ghn):
    graph = little_graph()
    assert set(ghn(graph)) - set(ghn(graph, head=False)) == {"a.head", "a.head_bias"}


def test_other_norm_and_bias_types():
    """What a vector is, its node's type says: a bias has small values around 0, anything else factors around 1."""
    nodes = (Node("input"), Node("ln", "norm", (8,)), Node("bias", "bias", (8,)), Node("conv", "slope", (1,)))
    predictions = GHN(config())(ArchGraph(nodes, ((0, 1), (1, 2), (2, 3))))
    assert (predictions["norm"] - 1).abs().max() < 0.5
    assert predictions["bias"].abs().max() < 0.5
    assert (predictions["slope"] - 1).abs().max() < 0.5


def test_refuses_types_outside_the_vocabulary():
    ghn = GHN(config(node_types=("input", "conv")))
    with pytest.raises(PredictionError, match="bias"):
        ghn(little_graph())


def test_fresh_ghns_predict_sensible_weights():
    torch.manual_seed(0)
    ghn = GHN(config(hid=64, heads=8, max_shape=(64, 64, 11, 11)))
    predictions = ghn(little_graph())
    embedding = ghn.encoder.types.weight.detach()
    assert embedding.std() == pytest.approx(64**-0.5, rel=0.15)
    assert not ghn.decoder.weights.bias.any()
    distances = ghn.gnn.bias.distance.weight.detach()
    assert torch.equal(distances[0], torch.zeros(64))
    torch.testing.assert_close(distances[5, :2], torch.tensor([math.sin(5), math.cos(5)]))
    for name in ("a.stem", "a.linear", "a.volume"):
        fan_in = predictions[name][0].numel()
        assert 0.01 < predictions[name].detach().std() * fan_in**0.5 < 1
