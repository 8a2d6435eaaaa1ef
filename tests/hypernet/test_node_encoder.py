from __future__ import annotations

import pytest
import torch
from cases import config, little_graph
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet.encoder import NodeEncoder, four_dimensions, nearest_rows


@given(st.sets(st.integers(1, 400), min_size=2, max_size=30).map(sorted))
def test_sizes_go_to_the_nearest_known_one(known):
    for size, row in enumerate(nearest_rows(known, {})):
        distances = [abs(size - other) for other in known]
        assert row == distances.index(min(distances))


def test_published_tables_have_these_sizes():
    # Rows of shape_enc.embed_channel.weight and shape_enc.embed_spatial.weight in the released files.
    large = NodeEncoder(config(max_shape=(16, 16, 16, 16), num_classes=1000))
    assert (large.channels.num_embeddings, large.sides.num_embeddings) == (392, 11)
    small = NodeEncoder(config(max_shape=(64, 64, 11, 11), num_classes=10))
    assert (small.channels.num_embeddings, small.sides.num_embeddings) == (392, 9)


def test_small_and_large_sizes():
    rows = NodeEncoder(config()).shape_rows
    assert rows((4, 4, 3, 3)) == rows((8, 7, 2, 2))
    assert rows((2, 3)) == rows((1, 3, 1, 1))
    assert rows((9000, 8192, 40, 16)) == rows((8192, 100000, 16, 99))
    assert len({rows((c, 1, 1, 1)) for c in (1, 3, 7, 8, 16, 64, 80, 4096, 4128)}) == 8
    assert not set(rows(None)) & {row for size in (1, 8192) for row in rows((size, size, 1, 1))[:2]}


def test_shapes_of_all_lengths():
    assert four_dimensions(()) == (1, 1, 1, 1)
    assert four_dimensions((5,)) == (5, 1, 1, 1)
    assert four_dimensions((5, 6)) == (5, 6, 1, 1)
    assert four_dimensions((5, 6, 7)) == (5, 6, 7, 1)
    assert four_dimensions((5, 6, 2, 3, 4)) == (5, 6, 3, 4)


def test_state_is_type_plus_quarters():
    encoder = NodeEncoder(config())
    graph = little_graph()
    states = encoder([graph, graph])
    assert states.shape == (2 * len(graph), 16)
    assert torch.equal(states[: len(graph)], states[len(graph) :])
    conv = encoder.types.weight[encoder._type_rows["conv"]]
    out, inner, height, width = encoder.shape_rows((24, 3, 5, 5))
    quarters = [
        encoder.channels.weight[out],
        encoder.channels.weight[inner],
        encoder.sides.weight[height],
        encoder.sides.weight[width],
    ]
    torch.testing.assert_close(states[1], conv + torch.cat(quarters))


def test_names_unknown_types():
    graph = ArchGraph((Node("input"), Node("lstm", "rnn.weight", (3, 3))), ((0, 1),))
    with pytest.raises(PredictionError, match="lstm"):
        NodeEncoder(config())([graph])
