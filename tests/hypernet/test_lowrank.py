"""LoGAH's decoder (Zhou et al., 2024) against its definition, written out with whole factors."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from cases import config, little_graph, make
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_watch import LargestStorage
from torch import nn

from ghn_init.checkpoints.folder import save
from ghn_init.checkpoints.info import CheckpointInfo
from ghn_init.checkpoints.loading import load
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet import GHN
from ghn_init.hypernet.lowrank import LowRankDecoder, second_vector
from ghn_init.hypernet.targets import targets

LOWRANK = {"decoder": "lowrank", "rank": 4, "factor_rows": 150}
sizes = st.tuples(st.integers(1, 16), st.integers(1, 12), st.integers(1, 9), st.integers(1, 9))


def decoder_of(**changes) -> LowRankDecoder:
    return make(config(**(LOWRANK | changes))).decoder.double()


def matrix(decoder: LowRankDecoder, state: torch.Tensor) -> torch.Tensor:
    """The whole matrix of one node: (factor_rows, factor_rows)."""
    layers = [decoder.hidden, nn.ReLU(), decoder.mix, nn.ReLU(), decoder.seeds, nn.ReLU()]
    seeds = nn.Sequential(*layers)(state).view(2 * decoder.rank, decoder.rank)
    left, right = decoder.weights(seeds).reshape(2, decoder.factor_rows, decoder.rank).unbind(0)
    return left @ right.t()


def cut(whole: torch.Tensor, size: tuple[int, int, int, int]) -> torch.Tensor:
    out, inner, height, width = size
    block = torch.empty(size, dtype=whole.dtype)
    for y in range(height):
        for x in range(width):
            block[:, :, y, x] = whole[y : out * height : height, x : inner * width : width]
    return block


@settings(deadline=None, max_examples=25)
@given(st.lists(sizes, min_size=1, max_size=6), st.sampled_from([1, 3, 4, 13]))
def test_blocks_are_cut_from_the_product(shapes, rank):
    decoder = decoder_of(rank=rank)
    states = torch.randn(len(shapes), 16, dtype=torch.float64)
    for state, size, block in zip(states, shapes, decoder.blocks(states, shapes), strict=True):
        torch.testing.assert_close(block, cut(matrix(decoder, state), size))


def test_kernels_that_the_factors_are_too_short_for_are_interpolated():
    decoder = decoder_of()
    state = torch.randn(1, 16, dtype=torch.float64)
    (block,) = decoder.blocks(state, [(16, 12, 10, 20)])
    small = cut(matrix(decoder, state[0]), (16, 12, 9, 9))
    torch.testing.assert_close(block, F.interpolate(small, (10, 20), mode="bilinear"))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=6), st.booleans())
def test_vectors_are_the_first_column(vectors, head):
    """Factors from its top, offsets from further below."""
    decoder = decoder_of(num_classes=7)
    nodes = [
        Node("bias" if offset else "bn", str(index), (7 if head else length,), head=head)
        for index, (length, offset) in enumerate(vectors)
    ]
    wanted, _ = targets(ArchGraph(tuple(nodes), ()), config())
    states = torch.randn(len(nodes), 16, dtype=torch.float64)
    rows = decoder.rows(states, wanted)
    for state, target, row in zip(states, wanted, rows, strict=True):
        column = matrix(decoder, state)[:, 0]
        length = min(target.shape[0], 16)
        first = second_vector(length, 16) * target.row
        torch.testing.assert_close(row[:length], column[first : first + length])


def test_offsets_follow_the_factors_of_the_group():
    assert [second_vector(length, 2048) for length in (1, 3, 64, 96, 384, 768, 1000, 1024, 2048)] == [
        *(1, 4, 64, 128, 512, 2048, 1000, 2048, 2048)
    ]


@given(st.integers(1, 64), st.integers(1, 64))
def test_offsets_do_not_overlap_factors(length, largest):
    length = min(length, largest)
    assert length <= second_vector(length, largest) <= largest


def test_heads_are_matrices_too():
    decoder = decoder_of(num_classes=7)
    states = torch.randn(2, 16, dtype=torch.float64)
    for state, head in zip(states, decoder.class_blocks(states, [12, 5]), strict=True):
        torch.testing.assert_close(head, cut(matrix(decoder, state), (7, head.shape[1], 1, 1))[:, :, 0, 0])


def test_gradients():
    decoder = decoder_of(hid=8, rank=3, factor_rows=40, max_shape=(4, 4, 3, 3))
    states = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    parameters = list(decoder.parameters())

    def decode(states, *parameters):
        return tuple(decoder.blocks(states, [(4, 3, 3, 3), (2, 4, 1, 1), (4, 3, 3, 3)]))

    assert torch.autograd.gradcheck(decode, (states, *parameters), fast_mode=True)


def wide(length: int) -> ArchGraph:
    """A network of one linear layer and one norm."""
    nodes = (
        Node("input"),
        Node("conv", "linear", (length, length)),
        Node("ln", "norm", (length,), rider="norm_bias"),
    )
    return ArchGraph(nodes, ((0, 1), (1, 2)))


def test_a_wide_layer_is_not_tiled():
    lowrank = make(config(decoder="lowrank", rank=6, max_shape=(1024, 1024, 9, 9)))
    prediction = lowrank(wide(1024))
    weight = prediction["linear"].detach()
    assert torch.linalg.matrix_rank(weight.double(), rtol=1e-5) == 6
    assert len(torch.unique(weight, dim=0)) == len(torch.unique(weight, dim=1)) == 1024
    assert len(torch.unique(prediction["norm"])) > 1000
    tiled = make(config())(wide(1024))["linear"]
    assert len(torch.unique(tiled, dim=0)) == 16


def test_what_is_wider_than_the_largest_block_is_tiled():
    prediction = make(config(**LOWRANK))(wide(40))
    assert torch.equal(prediction["linear"][:16, :12], prediction["linear"][16:32, 24:36])
    assert torch.equal(prediction["norm"][:16], prediction["norm"][16:32])


def test_tables_of_positions_are_as_wide_as_the_factors_allow():
    nodes = (Node("input"), Node("pos_enc", "table", (1, 40, 3, 3), (1, 9, 40)))
    table = make(config(**LOWRANK))(ArchGraph(nodes, ((0, 1),)))["table"]
    assert len(torch.unique(table[0], dim=1).t()) == 40


def test_the_decoder_does_not_grow_with_the_block():
    counts = [
        sum(p.numel() for p in GHN(config(decoder="lowrank", max_shape=(channels, channels, 9, 9))).parameters())
        for channels in (16, 2048)
    ]
    assert counts[0] == counts[1]


def products(function) -> int:
    """How many matrix products a call consists of."""
    names = {torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm, torch.ops.aten.baddbmm}
    count = 0

    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            nonlocal count
            count += operation.overloadpacket in names
            return operation(*args, **(kwargs or {}))

    with Count(), torch.no_grad():
        function()
    return count


def test_a_meta_batch_is_decoded_at_once():
    ghn = make(config(**LOWRANK))
    one, many = products(lambda: ghn([little_graph()])), products(lambda: ghn([little_graph()] * 8))
    assert one == many > 0


def test_survives_a_checkpoint(tmp_path):
    ghn = make(config(**LOWRANK))
    save(ghn, tmp_path / "logah", CheckpointInfo(name="logah"))
    again = load(tmp_path / "logah")
    assert again.config == ghn.config
    assert list(again.state_dict()) == list(ghn.state_dict())
    expected = ghn(little_graph())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again(little_graph()).items())


@pytest.mark.parametrize("rank", [8, 64])
def test_needs_little_memory(rank):
    """A linear layer of 411 MB in float32: neither it nor its factors may be held whole."""
    shape = (4096, 25088)
    ghn = make(config(decoder="lowrank", rank=rank, max_shape=(4096, 25088, 1, 1), factor_rows=2 * 25088))
    plan = ghn.plan(ArchGraph((Node("input"), Node("conv", "linear", shape)), ((0, 1),)))
    place = torch.empty(shape, dtype=torch.bfloat16)

    with LargestStorage(place) as seen:
        plan.write_all({"linear": place}, noise=1e-5)
    assert 0 < seen.nbytes < 24 * 2**20
