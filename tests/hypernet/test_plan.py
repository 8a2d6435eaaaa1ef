from __future__ import annotations

import math

import pytest
import torch
from cases import CONFIGS, config, little_graph, make, reference_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_watch import LargestStorage

from ghn_init.errors import PredictionError
from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet import GHN
from ghn_init.hypernet.bounds import largest
from ghn_init.hypernet.conv_slab import segments


@pytest.fixture
def plan(ghn):
    return ghn.plan(little_graph())


def empty(plan, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: torch.full(plan.shape(name), math.nan, dtype=dtype) for name in plan.names}


@pytest.mark.parametrize("budget", [1, 3000, 2**20])
def test_writes_what_the_differentiable_path_predicts(ghn, budget, monkeypatch):
    monkeypatch.setattr("ghn_init.hypernet.ghn.SMALLEST_BUDGET", budget)
    monkeypatch.setattr("ghn_init.hypernet.ghn.LARGEST_BUDGET", budget)
    graph = little_graph()
    plan, expected = ghn.plan(graph), ghn(graph)
    assert list(plan.names) == list(expected)
    places = empty(plan)
    plan.write_all(places)
    for name, tensor in expected.items():
        kept = plan.kept_rows(name)
        if kept:
            assert (name, kept) == ("a.table", 1)
            assert places[name][:, :kept].isnan().all()
            places[name][:, :kept] = 0
        torch.testing.assert_close(places[name], tensor, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(plan.materialise(name), tensor, rtol=1e-5, atol=1e-6)
        assert tensor.abs().max() <= plan.bound(name) * (1 + 1e-5)


@pytest.mark.parametrize("name", ["ghn3", "logah"])
@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5), st.integers(1, 11)), min_size=1),
    st.integers(1, 5000),
)
def test_any_mixture_of_shapes(name, shapes, budget):
    nodes = (Node("input"), *(Node("conv", str(index), shape) for index, shape in enumerate(shapes)))
    graph = ArchGraph(nodes, tuple((index, index + 1) for index in range(len(shapes))))
    ghn = make(CONFIGS[name])
    plan = ghn.plan(graph)
    plan._stream.budget = budget
    places = empty(plan)
    plan.write_all(places)
    for name, tensor in ghn(graph).items():
        torch.testing.assert_close(places[name], tensor, rtol=1e-5, atol=1e-6)


@given(st.lists(st.integers(1, 60), min_size=1).map(lambda inner: sorted(inner, reverse=True)), st.integers(0, 10**6))
def test_segments_cover_what_each_target_needs(inner, cost):
    ends = list(range(1, len(inner) + 1))
    found = segments(inner, ends, cost)
    assert [low for low, _, _ in found] == [0, *(high for _, high, _ in found[:-1])]
    assert found[-1][1] == inner[0]
    for index, needed in enumerate(inner):
        covered = max(high for _, high, count in found if index < count)
        assert covered >= needed


def test_results_do_not_depend_on_the_company(plan):
    everything = empty(plan)
    plan.write_all(everything, noise=1e-3, seed=1)
    for name in reversed(plan.names):
        alone = {name: torch.zeros(plan.shape(name))}
        plan.write_all(alone, noise=1e-3, seed=1)
        kept = plan.kept_rows(name)
        torch.testing.assert_close(
            alone[name][:, kept:] if kept else alone[name],
            everything[name][:, kept:] if kept else everything[name],
            rtol=1e-6,
            atol=1e-7,
        )


def test_same_call_same_bits(ghn):
    graph = little_graph()
    first, second = (ghn.plan(graph) for _ in range(2))
    for noise in (0.0, 1e-3):
        places = [empty(first), empty(second)]
        first.write_all(places[0], noise=noise)
        second.write_all(places[1], noise=noise)
        assert all(places[0][name].equal(places[1][name]) for name in first.names if not first.kept_rows(name))


def test_noise_breaks_the_symmetry_of_tiles():
    plan = make(config()).plan(little_graph())
    plain, noisy, other = (
        plan.materialise("a.linear", noise=noise, seed=seed) for noise, seed in ((0.0, 0), (1e-3, 0), (1e-3, 1))
    )
    assert torch.equal(plain[:16], plain[16:32])
    assert torch.equal(plain[:, :12], plain[:, 12:])
    assert len(torch.unique(noisy)) > 0.95 * noisy.numel()
    assert (noisy - plain).std() == pytest.approx(1e-3, rel=0.1)
    assert (noisy - plain).mean().abs() < 2e-4
    assert not torch.equal(noisy, other)
    assert torch.equal(noisy, plan.materialise("a.linear", noise=1e-3, seed=0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_any_dtype(plan, dtype, noise):
    exact, places = empty(plan), empty(plan, dtype)
    plan.write_all(exact, noise=noise)
    plan.write_all(places, noise=noise)
    for name, tensor in places.items():
        torch.testing.assert_close(tensor, exact[name].to(dtype), rtol=0, atol=1e-6, equal_nan=True)


def strided(shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor whose dimensions lie in memory in reverse order, with gaps."""
    return torch.full((*(2 * size for size in shape[::-1]),), math.nan).permute(*range(len(shape))[::-1])[
        tuple(slice(None, None, 2) for _ in shape)
    ]


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_any_strides(plan, noise):
    exact, places = empty(plan), {name: strided(plan.shape(name)) for name in plan.names}
    plan.write_all(exact, noise=noise)
    plan.write_all(places, noise=noise)
    for name, tensor in places.items():
        assert torch.equal(tensor.nan_to_num(), exact[name].nan_to_num()), name


@pytest.mark.parametrize("param_shape", [(16, 40), (4, 4, 40), (1, 4, 4, 40), (1, 40, 4, 4)])
def test_tables_without_a_class_token(param_shape):
    ghn = make(config())
    graph = ArchGraph((Node("input"), Node("pos_enc", "table", (1, 40, 4, 4), param_shape)), ((0, 1),))
    plan = ghn.plan(graph)
    assert plan.kept_rows("table") == 0
    torch.testing.assert_close(plan.materialise("table"), ghn(graph)["table"])
    place = strided(param_shape)
    plan.write_all({"table": place})
    torch.testing.assert_close(place, ghn(graph)["table"])


def test_writes_into_parameters(plan):
    parameter = torch.nn.Parameter(torch.zeros(plan.shape("a.stem")))
    address, version = parameter.data_ptr(), parameter._version
    plan.write_all({"a.stem": parameter})
    assert parameter.data_ptr() == address
    assert parameter.requires_grad
    assert parameter._version > version, "autograd must notice"
    (2 * parameter).sum().backward()


def test_gives_ordinary_tensors(plan):
    assert not plan.materialise("a.stem").is_inference()


def test_refuses_before_writing(plan):
    places = empty(plan)
    for wrong in (
        {"a.nothing": torch.zeros(3)},
        {"a.wide": torch.zeros(10, 24)},
        {"a.wide": torch.zeros(10, 24, 1, 7).int()},
    ):
        with pytest.raises(PredictionError, match=next(iter(wrong))):
            plan.write_all(places | wrong)
    assert all(tensor.isnan().all() for tensor in places.values())


def test_heads_of_other_sizes_are_left_out_with_a_reason():
    ghn = make(config(num_classes=100))
    plan = ghn.plan(little_graph())
    assert set(plan.left_out) == {"a.head", "a.head_bias"}
    assert "100" in plan.left_out["a.head"]
    assert not plan.left_out.keys() & set(plan.names)
    assert set(make(config()).plan(little_graph(), head=False).left_out) == {"a.head", "a.head_bias"}


def test_order_of_nodes_does_not_matter(ghn):
    """A head before other parameters, and a parameter of two nodes: the first node counts."""
    nodes = (
        Node("input"),
        Node("conv", "early.head", (7, 30), head=True),
        Node("bias", "early.bias", (7,), head=True),
        Node("conv", "shared", (10, 12, 3, 3)),
        Node("sum"),
        Node("conv", "shared", (10, 12, 3, 3)),
        Node("conv", "last", (9, 10)),
    )
    graph = ArchGraph(nodes, tuple((index, index + 1) for index in range(6)))
    plan, expected = ghn.plan(graph), ghn(graph)
    assert plan.names == ("early.head", "early.bias", "shared", "last")
    for name, tensor in expected.items():
        torch.testing.assert_close(plan.materialise(name), tensor, rtol=1e-5, atol=1e-6)
    before = ArchGraph((*nodes[:5], Node("sum"), nodes[6]), graph.edges)
    if ghn.config.gnn == "mlp":  # which does not see the second node
        assert torch.equal(ghn(before)["shared"], expected["shared"])


def test_autocast_makes_no_difference(ghn):
    graph = little_graph()
    plan = ghn.plan(graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        other = ghn.plan(graph)
        for name in plan.names:
            exact = other.materialise(name)
            assert torch.equal(plan.materialise(name), exact)
    assert all(torch.equal(plan.materialise(name), other.materialise(name)) for name in plan.names)


def test_graphs_without_parameters():
    plan = make(config()).plan(ArchGraph((Node("input"), Node("sum")), ((0, 1),)))
    assert plan.names == ()
    plan.write_all({})


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
@pytest.mark.parametrize("name", CONFIGS)
def test_refuses_what_is_not_finite(name, value):
    modules = dict(make(CONFIGS[name]).named_modules())
    for part in modules.keys() & {"encoder.types", "decoder.weights", "decoder.classes", "vectors.out"}:
        ghn = make(CONFIGS[name])
        weight = ghn.get_submodule(part).weight
        with torch.no_grad():
            # The input's type, which every state depends on, or any other row.
            weight[4 if part == "encoder.types" else 0] = value
        if value == 3e38 and part == "vectors.out" and CONFIGS[name].weight_norm:
            continue  # tanh and the sigmoid bring it back into their range
        with pytest.raises(PredictionError, match="finite"):
            ghn.plan(little_graph())


def test_largest_notices_changes():
    tensor = torch.nn.Parameter(torch.tensor([1.0, -3.0]))
    assert largest(tensor) == 3
    with torch.no_grad():
        tensor[0] = 5
    assert largest(tensor) == 5
    tensor.data = torch.tensor([-7.0, 2.0])
    assert largest(tensor) == 7
    with torch.inference_mode():
        assert largest(torch.tensor([2.0, math.nan])) != largest(torch.tensor([2.0]))


def test_needs_little_memory():
    """VGG-11's first linear layer alone is 411 MB in float32; none of it may be held a second time."""
    ghn = GHN(config(num_classes=1000, max_shape=(64, 64, 16, 16)))
    plan = ghn.plan(reference_graph("vgg11"))
    name = "classifier.0.weight"
    place = torch.empty(plan.shape(name), dtype=torch.bfloat16)

    with LargestStorage(place) as seen:
        plan.write_all({name: place}, noise=1e-5)
    assert 0 < seen.nbytes < 20 * 2**20
