"""Graphs of one model of each family against counts in its module tree, and what holds of every graph.

The expected numbers come from `named_modules` and `named_parameters` alone (`parameter_counts`, `operation_counts`,
`residual_counts`); what the tables cannot know is stated in `family_models`, each with its reason.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
import timm
import torch
import torchvision
from family_models import FAMILIES, FURTHER_SUMS, OUTPUTS, SHARED, TORCHVISION
from odd_networks import ODD
from operation_counts import ATTENTION, GATES, PRODUCTS, SEVERAL, operations
from parameter_counts import LAYERS, OWN, RIDER, parameter_kinds
from residual_counts import BLOCKS, PARTS, additions
from timm.layers import create_attn
from torch import nn

from ghn_init.graph import ArchGraph, trace

# torchvision's GoogLeNet announces a change of its own initialisation
pytestmark = pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")

TIMM = [model for _, model in FAMILIES]
ZOO = [("timm", name) for name in TIMM] + [("torchvision", name) for name in TORCHVISION.split()]
#: Nodes that the module tree does not tell: joins, pooling, and norms without weights.
WITHOUT_PARAMETERS = {"input", "sum", "concat", "max_pool", "avg_pool", "glob_avg", "ln", "bn"}
OPERATIONS = ("msa", "cse", "mul")
#: Nodes that are made of parameters alone, which nothing feeds.
TABLES = {"token", "pos_enc", "rel_pos", "embedding"}


def create(zoo: str, name: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name) if zoo == "timm" else torchvision.models.get_model(name, weights=None)


@cache
def examined(zoo: str, name: str) -> tuple[ArchGraph, dict[str, str], Counter[str], int]:
    """The graph of a model, the kinds of its parameters, its attention and gates, its residual additions."""
    model = create(zoo, name)
    return trace(model), parameter_kinds(model), operations(model), additions(model)


def found_kinds(graph: ArchGraph) -> dict[str, str]:
    kinds = {node.param: node.type for node in graph.nodes if node.param}
    return kinds | {node.rider: RIDER for node in graph.nodes if node.rider}


def unsound(graph: ArchGraph) -> list[str]:
    """What is wrong with a graph, whatever network it is of."""
    wrong = []
    before: list[set[int]] = [set() for _ in graph.nodes]
    after: list[set[int]] = [set() for _ in graph.nodes]
    for start, end in graph.edges:
        before[end].add(start)
        after[start].add(end)
        if start >= end:
            wrong.append(f"edge {start} -> {end} against the order")
    if len(set(graph.edges)) < len(graph.edges):
        wrong.append("an edge twice")
    for index, node in enumerate(graph.nodes):
        if index and not before[index] and node.type not in TABLES:
            wrong.append(f"nothing comes before {node.type} {node.source}")
        if node.type in ("sum", "concat") and len(before[index]) < 2:
            wrong.append(f"{node.type} {node.source} joins nothing")
    return wrong


def ends(graph: ArchGraph) -> list[int]:
    followed = {start for start, _ in graph.edges}
    return [index for index in range(len(graph.nodes)) if index not in followed]


def test_every_family_is_represented():
    assert {family for family, _ in FAMILIES} == set(timm.list_modules())
    for family in timm.list_modules():
        models = [model for of, model in FAMILIES if of == family]
        assert set(models) <= set(timm.list_models(module=family)), family


def test_tables_name_classes_that_exist():
    blocks = [f"timm.models.{file}.{block}" for file, names in BLOCKS.items() for block in names]
    for path in [*ATTENTION, *GATES, *PRODUCTS, *SEVERAL, *LAYERS, *PARTS, *blocks]:
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), path


@pytest.mark.parametrize(("zoo", "name"), ZOO)
def test_nodes_are_those_of_the_module_tree(zoo, name):
    graph, kinds, expected, _ = examined(zoo, name)
    found = found_kinds(graph)
    differing = {
        parameter: (kind, found.get(parameter, graph.left_out.get(parameter)))
        for parameter, kind in kinds.items()
        if found.get(parameter, OWN) != kind
    }
    assert not differing
    # parameters aside, no layer and no operation has a node too many
    expected = expected + Counter(kinds.values()) + Counter(SHARED.get(name, {}))
    counts = Counter(node.type for node in graph.nodes if node.param or node.type not in WITHOUT_PARAMETERS)
    assert counts == Counter({kind: number for kind, number in expected.items() if kind not in (RIDER, OWN)})


@pytest.mark.parametrize("name", TIMM)
def test_branches_are_added_as_often_as_the_blocks_add_them(name):
    graph, kinds, _, expected = examined("timm", name)
    tables = sum(kind == "pos_enc" for kind in kinds.values())
    assert graph.counts()["sum"] == expected + tables + FURTHER_SUMS.get(name, 0)


@pytest.mark.parametrize(("zoo", "name"), ZOO)
def test_graph_is_sound(zoo, name):
    graph, kinds, _, _ = examined(zoo, name)
    assert not unsound(graph)
    assert all(graph.distances[0, end] > 0 for end in ends(graph))
    assert len(ends(graph)) == OUTPUTS.get(name, 1)
    named = [name for node in graph.nodes for name in (node.param, node.rider) if name]
    assert len(named) == len(set(named))
    assert sorted([*named, *graph.left_out]) == sorted(kinds)
    assert all(graph.left_out.values())


@pytest.mark.parametrize(
    "layer", ["se", "ese", "eca", "ceca", "gc", "gca", "sk", "splat", "nl", "lambda", "bottleneck", "halo"]
)
def test_timms_attention_layers_between_convolutions(layer):
    settings = {"lambda": {"feat_size": (16, 16)}, "bottleneck": {"feat_size": (16, 16)}, "halo": {"block_size": 8}}
    with torch.device("meta"):
        attention = create_attn(layer, 32, **settings.get(layer, {}))
        network = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), attention, nn.Conv2d(32, 8, 1))
    graph = trace(network, example_inputs=torch.zeros(2, 3, 16, 16))
    expected = operations(network)
    assert sum(expected.values()) == 1
    assert {kind: graph.counts()[kind] for kind in OPERATIONS} == {kind: expected[kind] for kind in OPERATIONS}
    assert found_kinds(graph) == parameter_kinds(network)
    assert not unsound(graph)


@pytest.mark.parametrize("given", [True, False], ids=["given", "guessed"])
@pytest.mark.parametrize("make", ODD)
def test_odd_networks(make, given):
    expected, example = ODD[make]
    with torch.device("meta"):
        network = make()
    graph = trace(network, example_inputs=example if given else None)
    assert graph.counts() == expected
    assert not graph.left_out
    assert not unsound(graph)
