"""Paths, attention and messages of graphs with many nodes."""

import math
import resource
import subprocess
import sys

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import fx, nn

from ghn_init.graph import ArchGraph, Node
from ghn_init.graph.meta import SHORTCUTS, MetaTwins, run
from ghn_init.graph.paths import shortest_paths
from ghn_init.graph.symbolic import SymbolicTracer
from ghn_init.hypernet import GHN, GHNConfig, attention
from ghn_init.hypernet.attention import PairBias, attend


@st.composite
def networks(draw):
    size = draw(st.integers(1, 14))
    pairs = [(start, end) for end in range(size) for start in range(end)]
    return size, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


@given(networks())
def test_shortest_paths_are_networkx_s(network):
    size, edges = network
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(size))
    lengths = torch.from_numpy(shortest_paths(size, edges))
    for start, to in nx.all_pairs_shortest_path_length(graph):
        assert lengths[start].tolist() == [to.get(end, 0) for end in range(size)]


def test_long_paths_and_rows_beyond_one_block():
    lengths = shortest_paths(600, [(n, n + 1) for n in range(599)])
    assert lengths[0].tolist() == list(range(600))
    assert lengths[599].max() == 0


def test_edges_must_lead_forwards():
    with pytest.raises(ValueError, match="topological order"):
        shortest_paths(3, [(0, 2), (2, 1)])


@pytest.mark.parametrize("at_once", [10**6, 40, 7, 1])
@pytest.mark.parametrize("keep", [True, False])
def test_attention_in_parts_is_torch_s(at_once, keep, monkeypatch):
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", at_once)
    query, key, value = torch.randn(3, 2, 4, 11, 6)
    values, pairs = torch.randn(4, 5), torch.randint(5, (2, 11, 11), dtype=torch.uint8)
    absent = torch.arange(11) >= torch.tensor([[11], [7]])
    mask = torch.stack([values[:, graph.long()] for graph in pairs]).masked_fill(absent[:, None, None], -math.inf)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(attend(query, key, value, PairBias(values, pairs, absent, keep)), expected)


MEASURE = """
import resource, torch
torch.set_num_threads(1)
from ghn_init.graph import ArchGraph, Node
from ghn_init.hypernet import GHN, GHNConfig
size = {size}
nodes = [Node("input")] + [Node("conv", f"p{{n}}", (8, 8, 1, 1)) for n in range(1, size)]
graph = ArchGraph(tuple(nodes), tuple((max(0, n - 1 - n % 3 * 2), n) for n in range(1, size)))
ghn = GHN(GHNConfig(hid=16, heads=4, layers=2, max_shape=(8, 8, 1, 1), gnn="{gnn}")).eval()
small = ArchGraph(tuple(nodes[:20]), tuple(edge for edge in graph.edges if edge[1] < 20))
ghn.plan(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ghn.plan(graph)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("gnn", ["graphormer", "gatedgnn"])
def test_memory_for_many_nodes_is_a_few_bytes_a_pair(gnn):
    size = 2000
    script = MEASURE.format(size=size, gnn=gnn)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    # paths take two bytes, pairs one, and nothing else grows with their number but for a moment
    assert int(done.stdout) < 12 * size**2


def test_peak_is_measured_in_kilobytes():
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > 2**26


def test_gatedgnn_learns_as_it_infers():
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 1, 1), gnn="gatedgnn", cutoff=5))
    nodes = (Node("input"), *(Node("conv", f"p{n}", (8, 8)) for n in range(30)))
    graph = ArchGraph(nodes, (*((n, n + 1) for n in range(30)), (0, 9), (3, 20)))
    learning = ghn.embed([graph])[0]
    with torch.no_grad():
        torch.testing.assert_close(ghn.embed([graph])[0], learning)
    learning.sum().backward()
    assert ghn.gnn.gru.weight_ih.grad.abs().sum() > 0


class Unpacking(nn.Module):
    def forward(self, x):
        batch, *_ = 1, 2
        b, c = x.shape
        (first, second), third = x.chunk(2), x
        return first + second * b + c + third + batch


def test_values_and_attributes_unpack_as_in_torch_fx():
    ours, theirs = SymbolicTracer().trace(Unpacking()), fx.Tracer().trace(Unpacking())
    assert [(node.op, str(node.target)) for node in ours.nodes] == [
        (node.op, str(node.target)) for node in theirs.nodes
    ]

    class Looping(nn.Module):
        def forward(self, x):
            return list(x)

    with pytest.raises(fx.proxy.TraceError):
        SymbolicTracer().trace(Looping())


X, W = torch.randn(2, 6, 4, 4), torch.randn(6)
CALLS = {
    F.linear: [
        ((torch.randn(2, 5, 3), torch.randn(7, 3), torch.randn(7)), {}),
        ((torch.randn(3), torch.randn(7, 3)), {}),
    ],
    F.batch_norm: [((X, W, W.abs(), W, W), {"training": True}), ((X, None, None), {"training": True})],
    F.group_norm: [((X, 3, W, W), {}), ((X, 2), {"eps": 1e-3})],
    F.layer_norm: [((X, (4,)), {}), ((X, [4, 4], torch.ones(4, 4), None), {})],
    F.scaled_dot_product_attention: [((torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 2)), {})],
    F.relu: [((X,), {}), ((X[:, :, ::2],), {})],
    F.dropout: [((X, 0.3), {"training": False})],
    F.gelu: [((X,), {"approximate": "tanh"})],
    torch.sigmoid: [((X.transpose(1, 2),), {})],
    torch.Tensor.add: [((X, X), {}), ((X, 2), {}), ((X, W[:, None, None]), {})],
    torch.Tensor.mul: [((X, 0.5), {}), ((X.int(), 2), {})],
}


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_shortcuts_give_the_shapes_that_torch_gives(function):
    assert function in SHORTCUTS
    for args, kwargs in CALLS[function]:
        expected, twins = function(*args, **kwargs), MetaTwins()
        found = run(function, twins.of(args), twins.of(kwargs))
        assert found.is_meta
        assert (found.shape, found.dtype, found.stride()) == (expected.shape, expected.dtype, expected.stride())


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (F.linear, (torch.randn(2, 4), torch.randn(7, 3))),
        (F.layer_norm, (X, (5,))),
        (F.group_norm, (X, 4)),
        (F.batch_norm, (X, W[:3], W[:3])),
        (torch.Tensor.add, (X, torch.randn(5))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_fit_is_an_error_on_the_meta_device_too(function, args):
    with pytest.raises((RuntimeError, ValueError)):
        function(*args)
    with pytest.raises((RuntimeError, ValueError)):
        run(function, MetaTwins().of(args), {})
