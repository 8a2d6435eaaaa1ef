"""The graphs of 25 torchvision models are those that the published code builds."""

import gzip
import json
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest
import torch
import torchvision

from ghn_init.graph import NODE_TYPES, ArchGraph, restricted, trace

FIXTURE = Path(__file__).parents[1] / "data" / "graphs.jsonl.gz"
RECORDS = [json.loads(line) for line in gzip.decompress(FIXTURE.read_bytes()).splitlines()]


def labelled(nodes: list[tuple], edges) -> nx.DiGraph:
    graph = nx.DiGraph()
    for index, (node_type, param, shape) in enumerate(nodes):
        graph.add_node(index, label=(node_type, param, None if shape is None else tuple(shape)))
    graph.add_edges_from(map(tuple, edges))
    return graph


def of_trace(graph: ArchGraph) -> nx.DiGraph:
    return labelled([(node.type, node.param, node.shape) for node in graph.nodes], graph.edges)


def build(name: str) -> torch.nn.Module:
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, **extra)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["model"])
def test_graph_is_the_published_one(record):
    graph = restricted(trace(build(record["model"])), NODE_TYPES)
    ours, published = of_trace(graph), labelled(record["nodes"], record["edges"])
    labels = [Counter(nx.get_node_attributes(g, "label").values()) for g in (ours, published)]
    assert labels[0] == labels[1]
    # networkx's own isomorphism test, so that nothing hangs on the order of nodes
    assert nx.is_isomorphic(ours, published, node_match=lambda a, b: a["label"] == b["label"])
    assert graph.n_virtual_edges() == record["n_virtual_edges"]


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vit_b_32", "swin_t", "mobilenet_v3_small"])
def test_mode_makes_no_difference(name):
    model = build(name)
    training, evaluation = trace(model.train()), trace(model.eval())
    assert (training.nodes, training.edges) == (evaluation.nodes, evaluation.edges)


def test_mode_flags_are_left_alone():
    model = build("resnet18").train()
    model.layer1.eval()
    before = [module.training for module in model.modules()]
    trace(model)
    assert [module.training for module in model.modules()] == before


def test_meta_device_gives_the_same_graph():
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    on_meta, real = trace(model), trace(torchvision.models.resnet18())
    assert (on_meta.nodes, on_meta.edges) == (real.nodes, real.edges)
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


def test_topological_order_and_paths():
    graph = trace(torchvision.models.resnet18())
    assert graph.nodes[0].type == "input"
    assert all(start < end for start, end in graph.edges)
    network = nx.DiGraph(list(graph.edges))
    lengths = dict(nx.all_pairs_shortest_path_length(network))
    for start, to in lengths.items():
        for end, length in to.items():
            assert graph.distances[start, end] == length
    assert int((graph.distances > 0).sum()) == sum(len(to) - 1 for to in lengths.values())
