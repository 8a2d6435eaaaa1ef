"""Graphs to draw: of real networks, of DeepNets, and made up."""

from __future__ import annotations

import functools

import timm
import torch
from hypothesis import strategies as st

import ghn_init
from ghn_init import deepnets
from ghn_init.graph import NODE_TYPES, ArchGraph, Node


@functools.cache
def zoo_graph(name: str) -> ArchGraph:
    with torch.device("meta"):
        return ghn_init.trace(timm.create_model(name))


@functools.cache
def split_graph(split: str, index: int) -> ArchGraph:
    return deepnets.sample(split, index).graph(10, 32)


@st.composite
def random_graphs(draw: st.DrawFn) -> ArchGraph:
    """Acyclic graphs of up to 40 nodes, some with a stretch that comes several times."""
    edges: list[tuple[int, int]] = []
    types = ["input"]

    def stretch() -> tuple[list[str], list[tuple[int, int]]]:
        length = draw(st.integers(1, 6))
        kinds = draw(st.lists(st.sampled_from(NODE_TYPES), min_size=length, max_size=length))
        inner = [(draw(st.integers(-1, place - 1)), place) for place in range(length)]
        more = draw(st.lists(st.tuples(st.integers(0, length - 1), st.integers(0, length - 1)), max_size=4))
        return kinds, inner + [(start, end) for start, end in more if start < end]

    for _ in range(draw(st.integers(1, 4))):
        kinds, inner = stretch()
        for _ in range(draw(st.integers(1, 4))):
            first = len(types)
            edges += [(first + start, first + end) for start, end in inner]
            types += kinds
    further = draw(st.lists(st.tuples(st.integers(0, len(types) - 1), st.integers(0, len(types) - 1)), max_size=6))
    edges += [(start, end) for start, end in further if start < end]
    return ArchGraph(tuple(Node(kind) for kind in types), tuple(sorted(set(edges), key=lambda edge: edge[::-1])))
