from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from cases import config
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet.targets import targets
from ghn_init.hypernet.tiling import alike, assembled, enlarged, tiled, window

sizes = st.integers(1, 9)


@given(st.integers(1, 40), st.integers(1, 20), st.booleans())
def test_windows_fit_and_are_centred(largest, size, centred):
    first, last = window(largest, size, centred)
    assert last - first == min(size, largest)
    assert 0 <= first <= last <= largest
    if not centred or size >= largest:
        assert first == 0
    else:
        # Even and odd kernels alike contain the middle place.
        assert first <= largest // 2 < last or size == 0
        assert abs((first + last) - largest) <= 1


@given(sizes, sizes, sizes, sizes, st.lists(st.integers(1, 3), max_size=2))
def test_tiles_by_remainder(out, inner, more_out, more_in, kernel):
    block = torch.randn(out, inner, *kernel)
    shape = (out + more_out, inner + more_in, *kernel)
    whole = tiled(block, shape)
    assert whole.shape == shape
    for o in range(shape[0]):
        for i in range(shape[1]):
            assert torch.equal(whole[o, i], block[o % out, i % inner])


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.lists(st.integers(1, 3), max_size=2))
def test_gradients_of_tiles_add_up(out, inner, more_out, more_in, kernel):
    block = torch.randn(out, inner, *kernel, dtype=torch.float64, requires_grad=True)
    shape = (out + more_out, inner + more_in, *kernel)
    weights = torch.randn(shape, dtype=torch.float64)
    expected = torch.zeros_like(block)
    for o in range(shape[0]):
        for i in range(shape[1]):
            expected[o % out, i % inner] += weights[o, i]
    (found,) = torch.autograd.grad((tiled(block, shape) * weights).sum(), block)
    torch.testing.assert_close(found, expected)


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.lists(st.integers(1, 3), max_size=2))
def test_the_mean_over_copies(out, inner, more_out, more_in, kernel):
    x = torch.randn(out + more_out, inner + more_in, *kernel, dtype=torch.float64)
    found = alike(x, (out, inner))
    for o in range(len(x)):
        for i in range(x.shape[1]):
            torch.testing.assert_close(found[o, i], x[o % out :: out, i % inner :: inner].mean(dim=(0, 1)))
    vector = torch.randn(out + more_out, dtype=torch.float64)
    for o, number in enumerate(alike(vector, (out, 1))):
        torch.testing.assert_close(number, vector[o % out :: out].mean())


@given(sizes, sizes)
def test_tiles_vectors(have, more):
    block = torch.randn(have)
    assert torch.equal(tiled(block, (have + more,)), torch.stack([block[n % have] for n in range(have + more)]))


def test_larger_kernels_are_interpolated():
    block = torch.randn(2, 3, 4, 4)
    assert enlarged(block, 4, 4) is block
    torch.testing.assert_close(enlarged(block, 7, 5), F.interpolate(block, (7, 5), mode="bilinear"))


def one_target(*nodes: Node, **changes):
    found, _ = targets(ArchGraph(nodes, ()), config(**changes))
    return found


def test_tables_become_rows_of_channels():
    (target,) = one_target(Node("pos_enc", "table", (1, 6, 2, 3), (1, 8, 6)))
    block = torch.randn(1, 4, 2, 3)
    table = assembled(block, target)
    assert table.shape == (1, 8, 6)
    assert target.kept_rows == 2
    assert not table[0, :2].any()
    for place in range(6):
        for channel in range(6):
            assert table[0, 2 + place, channel] == block[0, channel % 4, place // 3, place % 3]


@pytest.mark.parametrize("param_shape", [(6, 5), (1, 2, 3, 5), (1, 5, 2, 3)])
def test_tables_in_other_layouts(param_shape):
    (target,) = one_target(Node("pos_enc", "table", (1, 5, 2, 3), param_shape))
    block = torch.randn(1, 5, 2, 3)
    expected = block if param_shape == (1, 5, 2, 3) else block[0].permute(1, 2, 0).reshape(param_shape)
    assert torch.equal(assembled(block, target), expected)


def test_volumes_repeat_their_kernel():
    (target,) = one_target(Node("conv", "volume", (4, 2, 5, 3, 3)))
    block = torch.randn(4, 2, 3, 3)
    whole = assembled(block, target)
    assert whole.shape == (4, 2, 5, 3, 3)
    for step in range(5):
        assert torch.equal(whole[:, :, step], block)


@pytest.mark.parametrize(
    "node",
    [
        Node("conv", "odd.weight", (4, 4), (4, 5)),
        Node("bias", "odd.weight", (4,), (5,)),
        Node("conv", "odd.weight", None, (4, 4)),
        Node("conv", "odd.weight", (1, 1, 1, 1, 1, 1)),
        Node("pos_enc", "odd.weight", (1, 5, 4, 4), (1, 15, 5)),
    ],
)
def test_names_what_does_not_fit(node):
    with pytest.raises(PredictionError, match=r"odd\.weight"):
        one_target(node)


def test_heads_of_other_sizes_are_left_out():
    nodes = (Node("conv", "fc.weight", (5, 8), head=True), Node("bias", "fc.bias", (5,), head=True))
    graph = ArchGraph(nodes, ())
    found, left_out = targets(graph, config())
    assert not found
    assert set(left_out) == {"fc.weight", "fc.bias"}
    assert "5 classes" in left_out["fc.weight"]
    assert [target.kind for target in targets(graph, config(num_classes=5))[0]] == ["class_block", "class_vector"]
    assert not targets(graph, config(num_classes=5), head=False)[0]
