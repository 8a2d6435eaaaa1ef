"""Repeated blocks are found by the graph alone, and every node is drawn once."""

from __future__ import annotations

import collections

import drawn_graphs
import pytest
from hypothesis import given, settings

from ghn_init.drawing.outline import outline
from ghn_init.graph import ArchGraph, Node

# How many blocks each stage has: the papers' tables, less those at its beginning that differ from the others.
STAGES = {
    "resnet50": [3 - 1, 4 - 1, 6 - 1, 3 - 1],
    "resnet101": [3 - 1, 4 - 1, 23 - 1, 3 - 1],
    "vit_base_patch16_224": [12],
    "densenet121": [6, 12, 24, 16],
    "convnext_tiny": [3, 3, 9, 3],
    "efficientnet_b0": [3 - 1, 3 - 1, 4 - 1],
}


@pytest.mark.parametrize("name", STAGES)
def test_blocks_of_known_networks(name: str) -> None:
    plan = outline(drawn_graphs.zoo_graph(name))
    assert [group.times for group in plan.groups] == STAGES[name]


def test_a_group_is_called_by_its_modules() -> None:
    plan = outline(drawn_graphs.zoo_graph("resnet50"))
    assert [group.words for group in plan.groups] == [
        "layer1.1 … 2",
        "layer2.1 … 3",
        "layer3.1 … 5",
        "layer4.1 … 2",
    ]


def chain(*types: str, edges: tuple[tuple[int, int], ...] | None = None) -> ArchGraph:
    links = tuple((i, i + 1) for i in range(len(types) - 1)) if edges is None else edges
    return ArchGraph(tuple(Node(kind) for kind in types), links)


def test_parallel_branches_are_not_repeats() -> None:
    branch = ("conv", "bn", "conv", "bn")
    parallel = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (4, 9), (8, 9))
    assert not outline(chain("input", *branch, *branch, "sum", edges=parallel)).groups
    assert [group.times for group in outline(chain("input", *branch, *branch, "sum")).groups] == [4]


def test_a_chain_of_pairs_is_folded_and_one_of_other_wiring_is_not() -> None:
    graph = chain("input", *("conv", "bn") * 4, "glob_avg")
    (group,) = outline(graph).groups
    assert (group.times, group.last - group.first + 1) == (4, 2)
    skipping = (*graph.edges, (1, 4))  # the first pair alone is skipped by an edge
    assert [group.times for group in outline(chain(*(n.type for n in graph.nodes), edges=skipping)).groups] != [4]


def test_shapes_must_be_equal_or_grow_evenly() -> None:
    def convs(*widths: int) -> ArchGraph:
        nodes = [Node("input")]
        for width in widths:
            shape = (width, width, 3, 3)
            nodes += [Node("conv", f"c{len(nodes)}", shape, shape), Node("max_pool", None, (1, 1, 2, 2))]
        return ArchGraph(tuple(nodes), tuple((i, i + 1) for i in range(len(nodes) - 1)))

    assert [group.times for group in outline(convs(8, 8, 8)).groups] == [3]
    assert [group.times for group in outline(convs(8, 16, 24)).groups] == [3]
    assert not outline(convs(8, 16, 32)).groups
    assert not outline(convs(8, 8, 16)).groups


@given(graph=drawn_graphs.random_graphs())
@settings(max_examples=80)
def test_every_node_is_in_one_box_and_every_edge_is_drawn_or_within_a_group(graph: ArchGraph) -> None:
    for fold in (False, True):
        plan = outline(graph, fold=fold)
        assert collections.Counter(node for box in plan.boxes for node in box) == collections.Counter(range(len(graph)))
        group_of = {box: group for group in plan.groups for box in range(group.first, group.last + 1)}
        for box, members in enumerate(plan.boxes):
            assert len(members) == (group_of[box].times if box in group_of else 1)
            assert len({graph.nodes[node].type for node in members}) == 1
        place = plan.place()
        pairs = {(place[start], place[end]) for start, end in graph.edges}
        assert set(plan.edges) <= pairs
        for start, end in pairs - set(plan.edges):  # from one repeat to another
            assert group_of[start] is group_of[end]
        assert all(start < end for start, end in plan.edges)
        if not fold:
            assert set(plan.edges) == pairs
            assert not plan.groups


@given(graph=drawn_graphs.random_graphs())
@settings(max_examples=60)
def test_repeats_of_a_group_have_the_same_edges_inside(graph: ArchGraph) -> None:
    plan = outline(graph)
    edges = set(graph.edges)
    for group in plan.groups:
        boxes = range(group.first, group.last + 1)
        inside = [
            {
                (one, other)
                for one in boxes
                for other in boxes
                if (plan.boxes[one][turn], plan.boxes[other][turn]) in edges
            }
            for turn in range(group.times)
        ]
        assert all(links == inside[0] for links in inside)
        carried = [
            {
                (one, other)
                for one in boxes
                for other in boxes
                if (plan.boxes[one][t], plan.boxes[other][t + 1]) in edges
            }
            for t in range(group.times - 1)
        ]
        assert carried[0]
        assert all(links == carried[0] for links in carried)
