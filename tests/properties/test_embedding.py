"""Embeddings are means of the states that the GHN decodes, whatever form the network comes in."""

import pytest
import timm
import torch
from torch import nn

import ghn_init
from ghn_init import GHN, GHNConfig, ModelNotFoundError
from ghn_init.evaluation import SplitNetwork
from ghn_init.properties import NodeEmbeddings, embed, node_embeddings


@pytest.fixture(scope="module")
def ghn():
    torch.manual_seed(0)
    return GHN(GHNConfig(hid=16, max_shape=(8, 8, 7, 7), num_classes=10, heads=4, layers=2)).eval()


def network(width=8, depth=1):
    middle = [part for _ in range(depth) for part in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
    return nn.Sequential(
        nn.Conv2d(3, width, 3),
        nn.BatchNorm2d(width),
        *middle,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


def test_is_the_mean_of_what_is_decoded(ghn):
    model = network()
    seen = []
    handle = ghn.norm.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    try:
        ghn(ghn_init.trace(model))
    finally:
        handle.remove()
    own = embed(model, ghn)
    assert own.shape == (16,)
    assert own.dtype == torch.float32
    assert not own.requires_grad
    assert not own.is_inference()
    torch.testing.assert_close(own, seen[0].mean(dim=0))


def test_a_network_has_the_same_embedding_alone_and_among_others(ghn):
    models = [network(4), timm.create_model("test_vit", num_classes=10), network(8, depth=9), network(16, depth=3)]
    together = embed(models, ghn)
    assert together.shape == (4, 16)
    alone = torch.stack([embed(model, ghn) for model in models])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(together, embed((model for model in models), ghn))
    assert torch.pdist(together).min() > 1e-3  # they are told apart


def test_weights_dtype_and_device_make_no_difference(ghn):
    plain = embed(network(), ghn)
    with torch.device("meta"):
        hollow = network()
    assert torch.equal(plain, embed(hollow, ghn))
    assert torch.equal(plain, embed(network().half(), ghn))


def test_takes_names_graphs_and_subjects(ghn):
    model = timm.create_model("test_resnet")
    expected = embed(model, ghn)
    assert torch.equal(expected, embed("timm:test_resnet", ghn))
    assert torch.equal(expected, embed(ghn_init.trace(model), ghn))
    subject = SplitNetwork("search", 3)
    mixed = embed([subject, "timm:test_resnet"], ghn)
    torch.testing.assert_close(mixed[0], embed(subject.build(10, 32), ghn))
    torch.testing.assert_close(mixed[1], expected)
    assert embed([], ghn).shape == (0, 16)


def test_nodes_come_with_the_graph_that_they_belong_to(ghn):
    model = timm.create_model("test_vit", num_classes=10, init_values=0.1)  # layer scales are no nodes to this GHN
    graph, states = node_embeddings(model, ghn)
    assert states.shape == (len(graph), 16)
    assert {node.type for node in graph.nodes} <= set(ghn.config.node_types)
    assert len(graph) < len(ghn_init.trace(model))
    torch.testing.assert_close(states.mean(dim=0), embed(model, ghn))
    first, second = node_embeddings([model, network()], ghn)
    assert isinstance(first, NodeEmbeddings)
    torch.testing.assert_close(first.states, states, rtol=1e-4, atol=1e-5)
    assert len(second.graph) == len(second.states)


def test_the_embedded_default_is_the_default():
    assert torch.equal(embed(network()), embed(network(), "default"))


def test_refuses_what_is_no_network(ghn):
    with pytest.raises(TypeError, match="int"):
        embed(3, ghn)
    with pytest.raises(TypeError, match="NoneType"):
        embed([network(), None], ghn)
    with pytest.raises(ModelNotFoundError, match="resnet50"):
        embed("resnet5O", ghn)
