"""Odd little modules, users' rules, and the second way to trace."""

from collections import Counter

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from ghn_init.errors import TraceError
from ghn_init.graph import ArchGraph, NodeRule, register, trace, unregister
from ghn_init.graph.shapes import trace_with_shapes
from ghn_init.graph.trace import abstract


def types(graph: ArchGraph) -> list[str]:
    return [node.type for node in graph.nodes]


def edges_by_source(graph: ArchGraph) -> Counter:
    return Counter(
        ((graph.nodes[a].type, graph.nodes[a].param), (graph.nodes[b].type, graph.nodes[b].param))
        for a, b in graph.edges
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return F.relu(x + self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    def __init__(self, spelling):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.down = nn.Conv2d(8, 4, 1)
        self.up = nn.Conv2d(4, 8, 1)
        self.spelling = spelling

    def forward(self, x):
        x = self.stem(x)
        pooled = {
            "mean": lambda: x.mean((2, 3), keepdim=True),
            "adaptive": lambda: F.adaptive_avg_pool2d(x, 1),
            "torch": lambda: torch.mean(x, dim=[2, 3], keepdim=True),
        }[self.spelling]()
        gate = torch.sigmoid(self.up(F.silu(self.down(pooled))))
        return gate * x if self.spelling == "torch" else x * gate


class Attention(nn.Module):
    """Attention in the spellings that networks use."""

    def __init__(self, spelling):
        super().__init__()
        self.spelling = spelling
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.spelling == "fused":
            y = F.scaled_dot_product_attention(q, k, v)
        elif self.spelling == "matmul":
            y = (q @ k.transpose(-2, -1) * 0.3).softmax(dim=-1) @ v
        elif self.spelling == "bmm":
            y = torch.bmm(F.dropout(F.softmax(torch.bmm(q, k.mT), -1), training=False), v)
        else:
            y = torch.einsum("bij,bjd->bid", torch.softmax(torch.einsum("bid,bjd->bij", q, k), -1), v)
        return self.out(y)


class ShapeDependent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.small, self.large = nn.Linear(8, 10), nn.Linear(8, 10)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        return self.small(x) if x.shape[0] < 10 else self.large(x)


@pytest.mark.parametrize("spelling", ["mean", "adaptive", "torch"])
def test_squeeze_and_excitation_is_one_node_and_absorbs_its_pooling(spelling):
    graph = trace(SqueezeExcite(spelling))
    assert Counter(types(graph)) == {"input": 1, "conv": 3, "bias": 3, "cse": 1}
    (cse,) = (i for i, node in enumerate(graph.nodes) if node.type == "cse")
    feeding = {graph.nodes[a].param for a, b in graph.edges if b == cse}
    assert feeding == {"stem.bias", "up.bias"}


@pytest.mark.parametrize("spelling", ["fused", "matmul", "bmm", "einsum"])
def test_every_spelling_of_attention_is_one_msa_fed_by_query_key_and_value(spelling):
    graph = trace(Attention(spelling))
    (msa,) = (i for i, node in enumerate(graph.nodes) if node.type == "msa")
    assert {graph.nodes[a].param for a, b in graph.edges if b == msa} == {"q.bias", "k.bias", "v.bias"}
    assert {graph.nodes[b].param for a, b in graph.edges if a == msa} == {"out.weight"}


def test_norm_bias_rides_with_its_weight():
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    assert [(node.type, node.param, node.rider) for node in graph.nodes[1:]] == [
        ("conv", "0.weight", None),
        ("bias", "0.bias", None),
        ("bn", "1.weight", "1.bias"),
    ]


def test_subclasses_count_as_what_they_inherit_from():
    layer = timm.layers.BatchNormAct2d(4)
    assert types(trace(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), layer))) == ["input", "conv", "bn"]


def test_grouped_and_dilated_convolutions():
    assert types(trace(nn.Conv2d(4, 4, 3, groups=4, bias=False)))[1] == "sep_conv"
    assert types(trace(nn.Conv2d(4, 4, 3, groups=4, dilation=2, bias=False)))[1] == "dil_conv"
    assert types(trace(nn.Conv2d(4, 4, 3, dilation=2, bias=False)))[1] == "conv"


def test_residual_sum_joins_its_two_branches_only_where_there_are_two():
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), Residual(), Residual()))
    assert types(graph) == ["input", "conv", "conv", "bn", "sum", "conv", "bn", "sum"]
    # on the raw input there is nothing to join
    assert types(trace(Residual())) == ["input", "conv", "bn"]


def test_shared_layer_is_predicted_once():
    shared = nn.Linear(8, 8)
    graph = trace(nn.Sequential(shared, nn.ReLU(), shared))
    assert [node.param for node in graph.nodes if node.type == "conv"] == ["0.weight", None]


def test_tied_parameters_are_named_as_aliases():
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    graph = trace(nn.Sequential(first, second))
    assert graph.aliases == {"1.weight": "0.weight"}
    assert [node.param for node in graph.nodes if node.param] == ["0.weight", "0.bias", "1.bias"]


def test_unused_and_uncovered_parameters_are_left_out_with_a_reason():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))
            self.unused = nn.Parameter(torch.ones(8))
            self.dead = nn.Linear(8, 8)
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            self.dead(x)
            return torch.maximum(self.layer(x), self.scale)

    graph = trace(Odd())
    assert graph.left_out == {
        "scale": "no rule covers how it is used",
        "unused": "no operation uses it",
        "dead.weight": "no output depends on it",
        "dead.bias": "no output depends on it",
    }


def test_a_module_without_parameters_is_its_input():
    assert types(trace(nn.ReLU())) == ["input"]


def test_head_is_the_layer_that_gives_the_output():
    graph = trace(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)))
    assert [node.param for node in graph.nodes if node.head] == ["2.weight", "2.bias"]


def test_head_is_that_of_the_first_output():
    model = torchvision.models.googlenet(init_weights=False)
    assert [node.param for node in trace(model).nodes if node.head] == ["fc.weight", "fc.bias"]


class TwoHeads(nn.Module):
    """The mean of two heads, of which the second is as wide as it is told, times a learned temperature."""

    def __init__(self, second):
        super().__init__()
        self.body = nn.Linear(8, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, second, bias=False)])
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, x):
        x = self.body(x).relu()
        return self.temperature * self.heads[0](x) + self.heads[1](x)


@pytest.mark.parametrize(("second", "heads"), [(3, ["heads.0.weight", "heads.0.bias", "heads.1.weight"]), (1, [])])
def test_several_heads_of_the_same_classes_are_heads(second, heads):
    graph = trace(TwoHeads(second))
    assert [node.param for node in graph.nodes if node.head] == heads


@pytest.mark.parametrize("bias", [True, False])
def test_weight_normed_head_has_its_sizes(bias):
    head = nn.utils.parametrizations.weight_norm(nn.Linear(8, 3, bias=bias))
    graph = trace(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), head))
    assert {node.param for node in graph.nodes if node.head} == {f"2.{name}" for name, _ in head.named_parameters()}


def test_convolutional_head_is_put_behind_its_pooling():
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    graph = trace(nn.Sequential(*layers))
    assert types(graph) == ["input", "conv", "bias", "glob_avg", "conv", "bias"]
    assert graph.nodes[4].shape == (5, 8)
    assert graph.nodes[4].param_shape == (5, 8, 1, 1)
    assert all(start < end for start, end in graph.edges)


def test_users_rule_for_a_layer_and_for_a_function():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.ones(8, 8))
            self.offset = nn.Parameter(torch.ones(8))

        def forward(self, x):
            return torch.outer(self.offset, torch.kron(self.kernel, x))

    before = trace(nn.Sequential(Scaled()))
    assert set(before.left_out) == {"0.kernel", "0.offset"}
    register(Scaled, NodeRule("conv", "kernel"), NodeRule("bias", "offset"))
    try:
        graph = trace(nn.Sequential(Scaled()))
    finally:
        unregister(Scaled)
    assert [(node.type, node.param) for node in graph.nodes[1:]] == [("conv", "0.kernel"), ("bias", "0.offset")]


def test_users_rule_for_a_container_holds_in_both_traces():
    class Pair(nn.Sequential):
        pass

    model = nn.Sequential(nn.Conv2d(3, 4, 1), Pair(nn.Conv2d(4, 4, 1, bias=False)))
    register(Pair, NodeRule("sep_conv", "0.weight"))
    try:
        symbolic = trace(model)
        shapes = abstract(model, trace_with_shapes(model), dict(model.named_parameters()), "shapes")
    finally:
        unregister(Pair)
    assert types(symbolic) == types(shapes) == ["input", "conv", "bias", "sep_conv"]


def test_bad_rules_are_refused():
    with pytest.raises(ValueError, match="at least one node"):
        register(nn.ReLU)
    for stream in (None, ["input"]):
        with pytest.raises(ValueError, match="not both"):
            register(nn.ReLU, "ln", chain=lambda layer: (NodeRule("ln"),), stream=stream)
    with pytest.raises(TypeError, match="NodeRule"):
        register(nn.ReLU, 3)
    with pytest.raises(ValueError, match="not among its arguments"):
        register(torch.outer, NodeRule("conv", "vec2"))


def test_shape_dependent_control_flow_falls_back_to_shapes():
    graph = trace(ShapeDependent())
    assert graph.traced == "shapes"
    assert graph.nodes[-1].param == "small.bias"
    assert set(graph.left_out) == {"large.weight", "large.bias"}
    big = trace(ShapeDependent(), example_inputs=torch.empty(16, 3, 32, 32, device="meta"))
    assert big.nodes[-1].param == "large.bias"


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "efficientnet_b0", "convnext_atto", "densenet121"]
)
def test_both_ways_give_the_same_graph(name):
    model = timm.create_model(name).eval()
    symbolic = trace(model)
    assert symbolic.traced == "symbolic"
    other = abstract(model, trace_with_shapes(model), dict(model.named_parameters(remove_duplicate=False)), "shapes")
    assert Counter(types(symbolic)) == Counter(types(other))
    assert edges_by_source(symbolic) == edges_by_source(other)


@pytest.mark.parametrize("name", ["vgg11", "mobilevit_xxs", "crossvit_tiny_240", "hiera_tiny_224"])
def test_timm_models_that_plain_fx_cannot_trace(name):
    with pytest.raises(Exception, match=r".*"):
        torch.fx.symbolic_trace(timm.create_model(name))
    graph = trace(timm.create_model(name))
    covered = sum(p.numel() for n, p in timm.create_model(name).named_parameters() if n not in graph.left_out)
    assert covered / sum(p.numel() for p in timm.create_model(name).parameters()) > 0.99


def test_nothing_of_the_module_changes_in_either_trace():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), ShapeDependentNorm()).train()
    state = {name: (value.data_ptr(), value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    assert trace(model).traced == "shapes"
    for name, value in model.state_dict(keep_vars=True).items():
        assert value.data_ptr() == state[name][0]
        assert torch.equal(value, state[name][1])


class ShapeDependentNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(x) if x.shape[0] > 1 else x


def test_untraceable_code_is_reported_with_its_module_and_line():
    class Inner(nn.Module):
        def forward(self, x):
            return x * float(x.numpy().mean())

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.inner = Inner()

        def forward(self, x):
            return self.inner(self.layer(x))

    with pytest.raises(TraceError, match=r"'inner'.*test_trace\.py:\d+"):
        trace(Outer())


def test_arguments_with_defaults_keep_them():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x, mask=None):
            if mask is not None:
                raise AssertionError("no mask was given")
            return self.layer(x)

    assert trace(Masked()).traced == "symbolic"


def test_graph_survives_json():
    graph = trace(timm.create_model("resnet18"))
    assert ArchGraph.from_dict(graph.to_dict()) == graph


def test_operations_in_place_change_what_comes_after():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.one(x)
            x.add_(self.two(x))
            return self.head(x)

    graph = trace(InPlace())
    assert graph.counts()["sum"] == 1
    assert not graph.left_out


class SpelledNorm(nn.Module):
    def __init__(self, spelling):
        super().__init__()
        self.before, self.after, self.spelling = nn.Linear(8, 8), nn.Linear(8, 8), spelling
        self.gain, self.offset = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))

    def forward(self, x):
        return self.after(self.spelling(self.before(x)) * self.gain + self.offset)


def centred(x):
    return x - x.mean(-1, keepdim=True)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda x: centred(x) / (x.std(-1, keepdim=True) + 1e-6),
        lambda x: centred(x) * torch.rsqrt(x.var(-1, keepdim=True) + 1e-6),
        lambda x: centred(x) / torch.sqrt(centred(x).pow(2).mean(-1, keepdim=True) + 1e-6),
        lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    ],
)
def test_norms_spelled_out(spelling):
    nodes = [(node.type, node.param, node.rider) for node in trace(SpelledNorm(spelling)).nodes]
    assert nodes[3:-2] == [("ln", "gain", "offset")]


def test_a_temperature_of_normalised_data_is_no_norm():
    class Contrast(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.classes = nn.Linear(8, 4), nn.Parameter(torch.randn(10, 4))
            self.logit_scale = nn.Parameter(torch.tensor(2.6))

        def forward(self, x):
            x = self.features(x)
            return self.logit_scale.exp() * (x / x.norm(dim=-1, keepdim=True)) @ self.classes.t()

    assert {node.param: node.type for node in trace(Contrast()).nodes}["logit_scale"] == "layer_scale"


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_hooks_make():
    layers = [nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.utils.spectral_norm(nn.Conv2d(4, 4, 3)), nn.BatchNorm2d(4)]
    graph = trace(nn.Sequential(*layers))
    assert [(node.type, node.param) for node in graph.nodes] == [
        ("input", None),
        ("conv", "0.weight_v"),
        ("layer_scale", "0.weight_g"),
        ("bias", "0.bias"),
        ("conv", "1.weight_orig"),
        ("bias", "1.bias"),
        ("bn", "2.weight"),
    ]
    assert not graph.left_out


def test_attention_with_biases_among_keys_and_values():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, add_bias_kv=True)

        def forward(self, x):
            return x + self.attention(x, x, x)[0]

    graph = trace(Residual())
    assert not graph.left_out
    assert [node.type for node in graph.nodes] == ["input", "conv", "bias", "token", "token", "msa", "conv", "bias"]


def test_lazy_layers_are_refused():
    with pytest.raises(TraceError, match=r"1\.weight of Sequential has no shape yet"):
        trace(nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(4)))


def test_weights_that_the_network_makes_feed_their_layer():
    class Hyper(nn.Module):
        def __init__(self):
            super().__init__()
            self.maker, self.bias = nn.Linear(3, 8), nn.Parameter(torch.zeros(2))

        def forward(self, x, about):
            return F.linear(x, self.maker(about).view(2, 4), self.bias)

    graph = trace(Hyper(), example_inputs=(torch.randn(5, 4), torch.randn(1, 3)))
    assert [node.param for node in graph.nodes] == [None, "maker.weight", "maker.bias", "bias"]
    assert (2, 3) in graph.edges
    assert not graph.left_out


@pytest.mark.parametrize(
    "normalise",
    [
        lambda x: F.normalize(x, dim=-1),
        lambda x: F.layer_norm(x, (8,)),
        nn.LayerNorm(8, elementwise_affine=False),
        lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True),
    ],
)
def test_a_gain_and_an_offset_behind_any_normalisation_are_a_norm(normalise):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)
            self.gain, self.offset = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))

        def forward(self, x):
            return self.two(normalise(self.one(x)) * self.gain + self.offset)

    graph = trace(Normed())
    assert types(graph) == ["input", "conv", "bias", "ln", "conv", "bias"]
    assert [(node.param, node.rider) for node in graph.nodes if node.type == "ln"] == [("gain", "offset")]


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_recurrent_cells_have_a_node_for_each_matrix(cell):
    class Unrolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = cell(8, 8), nn.Linear(8, 2)

        def forward(self, x):
            state = self.cell(x)
            state = self.cell(x, state)
            return self.head(state[0] if isinstance(state, tuple) else state)

    graph = trace(Unrolled(), example_inputs=torch.zeros(2, 8))
    assert not graph.left_out
    named = [(node.param, node.rider) for node in graph.nodes if node.type == "rnn" and node.param]
    assert named == [("cell.weight_ih", "cell.bias_ih"), ("cell.weight_hh", "cell.bias_hh")]
