"""Each proxy against what it is by hand, and that no network is changed by being scored."""

import copy
import math

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ghn_init.evaluation import SplitNetwork
from ghn_init.proxies import PROXIES, ProxyError, score


def batch(n=6, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, size, size, generator=generator), torch.randint(10, (n,), generator=generator)


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(8, 12, 3, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )


def linear_network(width, depth, seed=0):
    """Flat images of 12 numbers through linear layers without biases."""
    torch.manual_seed(seed)
    middle = [nn.Linear(width, width, bias=False) for _ in range(depth - 2)]
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width, bias=False), *middle, nn.Linear(width, 4, bias=False))


FLAT = torch.randn(5, 3, 2, 2)


def test_the_sizes_are_known_numbers():
    images, labels = batch()
    assert score(network(), images, labels, "params") == 3 * 8 * 9 + 8 + 16 + 8 * 12 * 9 + 24 + 12 * 10 + 10
    assert score(network(), images, labels, "flops") == 3 * 8 * 9 * 64 + 8 * 12 * 9 * 36 + 12 * 10
    with torch.device("meta"):
        hollow = network()
    assert score(hollow, images, None, "params") == score(network(), images, labels, "params")
    assert score(hollow, images, None, "flops") == score(network(), images, labels, "flops")


def by_backward(module, images, labels):
    """Gradients as a first step of training has them, but for dropout."""
    module = copy.deepcopy(module).train()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    F.cross_entropy(module(images), labels).backward()
    return [parameter for parameter in module.parameters() if parameter.dim() > 1]


def test_gradients_are_those_of_a_step_of_training():
    images, labels = batch()
    model = network()
    parameters = by_backward(model, images, labels)
    assert score(model, images, labels, "grad_norm") == pytest.approx(
        sum(float(parameter.grad.norm()) for parameter in parameters), rel=1e-5
    )
    assert score(model, images, labels, "snip") == pytest.approx(
        sum(float((parameter.grad * parameter.detach()).abs().sum()) for parameter in parameters), rel=1e-5
    )


def test_fisher_of_a_linear_layer_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    labels = torch.tensor([0, 1, 2, 3, 0])
    outputs = model(FLAT).detach()
    gradients = (outputs.softmax(dim=1) - F.one_hot(labels, 4)) / 5
    expected = float((outputs * gradients).square().sum()) / (2 * 5)
    assert score(model, FLAT, labels, "fisher") == pytest.approx(expected, rel=1e-5)


def test_fisher_sums_places_before_it_squares():
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 2)
    images, labels = torch.randn(5, 3, 3, 3), torch.tensor([0, 1, 2, 3, 0])
    seen = convolution(images).detach().requires_grad_()
    F.cross_entropy(seen.mean(dim=(2, 3)), labels).backward()
    expected = float((seen.detach() * seen.grad).sum(dim=(2, 3)).square().sum()) / (2 * 5)
    model = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert score(model, images, labels, "fisher") == pytest.approx(expected, rel=1e-5)


def test_synflow_of_a_linear_network_by_hand():
    model = linear_network(7, 2)
    first, second = model[1].weight.detach().double().abs(), model[2].weight.detach().double().abs()
    ones = torch.ones(12, dtype=torch.float64)
    flow = float((second @ (first @ ones)).sum())
    assert score(model, FLAT, None, "synflow") == pytest.approx(math.log(2 * flow))  # the same through each layer
    biased = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.BatchNorm1d(7), nn.ReLU(), model[2])
    biased[1].weight = model[1].weight
    bias = biased[1].bias.detach().double().abs()
    through_second = float((second @ (first @ ones + bias)).sum())
    assert score(biased, FLAT, None, "synflow") == pytest.approx(math.log(flow + through_second))


@settings(max_examples=15)
@given(depth=st.integers(2, 5), factor=st.floats(0.1, 100), seed=st.integers(0, 99))
def test_synflow_is_homogeneous_and_blind_to_signs_and_images(depth, factor, seed):
    model = linear_network(6, depth, seed)
    before = score(model, FLAT, None, "synflow")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor * torch.randn_like(parameter).sign())
    after = score(model, torch.zeros_like(FLAT), None, "synflow")
    assert after - before == pytest.approx(depth * math.log(factor), abs=1e-5)


class OneHead(nn.Module):
    """Attention over the four places of an image, fused or written out."""

    def __init__(self, fused):
        super().__init__()
        torch.manual_seed(0)
        self.query, self.value = nn.Linear(3, 5, bias=False), nn.Linear(3, 5, bias=False)
        self.fused = fused

    def forward(self, images):
        places = images.flatten(2).transpose(1, 2)
        query, value = self.query(places), self.value(places)
        if self.fused:
            return F.scaled_dot_product_attention(query, query, value).mean(dim=1)
        return ((query @ query.transpose(1, 2)).softmax(dim=-1) @ value).mean(dim=1)


@pytest.mark.parametrize("fused", [True, False])
def test_synflow_has_attention_to_all_places_alike(fused):
    model = OneHead(fused)
    expected = float(model.value.weight.detach().abs().sum())  # all places of an image of ones are the same
    assert score(model, FLAT, None, "synflow") == pytest.approx(math.log(expected))


class Gated(nn.Module):
    """Squeeze-and-excitation, whose gate would square what comes in, and a factor for each channel."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.gate, self.out = nn.Conv2d(3, 4, 1, bias=False), nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.factor = nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 0.5]))

    def forward(self, images):
        x = self.first(images)
        x = x * F.hardswish(self.gate(x.mean(dim=(2, 3))))[:, :, None, None]
        return self.out((x * self.factor.view(1, 4, 1, 1)).mean(dim=(2, 3)))


def test_synflow_opens_gates_and_keeps_factors():
    model = Gated()
    first, out = model.first.weight.detach().abs().flatten(1), model.out.weight.detach().abs()
    flow = float(out.sum(dim=0) @ (first.sum(dim=1) * model.factor.detach().abs()))
    assert score(model, FLAT, None, "synflow") == pytest.approx(math.log(2 * flow))


def test_synflow_bears_what_would_overflow_in_single_precision():
    model = linear_network(40, 30)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    expected = math.log(30) + 30 * math.log(2) + math.log(12) + 29 * math.log(40) + math.log(4)
    assert expected > math.log(torch.finfo(torch.float32).max)
    assert score(model, FLAT, None, "synflow") == pytest.approx(expected)


class OneLayer(nn.Module):
    """Two numbers of an image through a layer of four units."""

    def __init__(self, rectify):
        super().__init__()
        self.layer = nn.Linear(2, 4, bias=False)
        self.layer.weight = nn.Parameter(torch.tensor([[1.0, 0], [0, 1], [1, 1], [-1, 0]]))
        self.out = nn.Linear(4, 4)
        self.rectify = rectify

    def forward(self, images):
        return self.out(self.rectify(self.layer(images.flatten(1))))


TWO = torch.tensor([[1.0, 2.0], [1.0, -2.0]]).view(2, 2, 1, 1)


@pytest.mark.parametrize(
    "rectify",
    [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, torch.Tensor.relu, nn.GELU(), nn.SiLU(), nn.Hardswish()],
)
def test_naswot_of_two_images_by_hand(rectify):
    # codes 1110 and 1000 agree in two units of four: the kernel is [[4, 2], [2, 4]]
    assert score(OneLayer(rectify), TWO, None, "naswot") == pytest.approx(math.log(4 * 4 - 2 * 2))


def test_naswot_of_images_with_the_same_code():
    assert score(OneLayer(nn.ReLU()), TWO[:1].repeat(2, 1, 1, 1), None, "naswot") == -math.inf
    images, _ = batch(12)
    assert math.isfinite(score(network(), images, None, "naswot"))
    images[7] = images[2]
    assert score(network(), images, None, "naswot") == -math.inf


def test_naswot_counts_all_layers_by_agreements():
    images, _ = batch()
    model = network().train()
    codes = []
    plain = copy.deepcopy(model)
    plain[3].p = 0.0
    for part in (plain[2], plain[6]):
        part.register_forward_pre_hook(lambda part, inputs: codes.append(inputs[0].flatten(1) > 0))
    plain(images)
    code = torch.cat(codes, dim=1)
    kernel = (code[:, None] == code[None]).sum(dim=2).double()
    assert score(model, images, None, "naswot") == pytest.approx(float(kernel.logdet()))


def test_jacob_cov_of_a_linear_network_by_hand():
    # every image has the same gradient: the correlations are all 1, with eigenvalues 5 and four times 0
    expected = -(math.log(5 + 1e-5) + 1 / (5 + 1e-5)) - 4 * (math.log(1e-5) + 1e5)
    assert score(linear_network(7, 3), FLAT, None, "jacob_cov") == pytest.approx(expected, rel=1e-6)


def everything(module):
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    grads = {
        name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None
    }
    modes = [part.training for part in module.modules()]
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    identities = [id(parameter) for parameter in module.parameters()]
    hooks = [len(part._forward_hooks) for part in module.modules()]
    return tensors, grads, [*modes, *wanted, *identities, *hooks, torch.get_rng_state().tolist()]


def unchanged(before, after):
    return before[2] == after[2] and all(
        mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
        for mine, theirs in zip(before[:2], after[:2], strict=True)
    )


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("fails", [False, True])
def test_a_network_stays_as_it_is(proxy, fails):
    images, labels = batch()
    model = network().train()
    model[0].requires_grad_(False)
    model[4].eval()
    F.cross_entropy(model(images), labels).backward()
    before = everything(model)
    with torch.no_grad():
        if fails:
            model.append(nn.Linear(11, 10))  # after all else has run
            before = everything(model)
            if proxy != "params":
                with pytest.raises(ProxyError, match="Sequential"):
                    score(model, images, labels, proxy)
        else:
            assert math.isfinite(score(model, images, labels, proxy))
        assert not torch.is_grad_enabled()
    assert unchanged(before, everything(model))


@pytest.mark.parametrize("proxy", PROXIES)
def test_mode_and_frozen_parameters_make_no_difference(proxy):
    images, labels = batch()
    expected = score(network(), images, labels, proxy)
    assert score(network().eval().requires_grad_(False), images, labels, PROXIES[proxy]) == expected
    assert score(network().double(), images, labels, proxy) == pytest.approx(expected, rel=1e-3)


def test_scores_networks_of_all_kinds():
    images, labels = batch(2, 16)
    torch.manual_seed(0)
    models = [SplitNetwork("search", 3).build(10, 16), SplitNetwork("bnfree", 0).build(10, 16)]
    models.append(timm.create_model("test_vit", num_classes=10, img_size=16))
    found = {proxy: [score(model, images, labels, proxy) for model in models] for proxy in PROXIES}
    for proxy, scores in found.items():
        assert all(math.isfinite(each) for each in scores), proxy
        assert len(set(scores)) == 3, proxy


def test_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self, other):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), other
            self.first.weight = self.second.weight

        def forward(self, images):
            return self.second(F.relu(self.first(images.flatten(1))))

    torch.manual_seed(0)
    model = Tied(nn.Linear(4, 4, bias=False))
    images, labels = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 3, 0])
    (parameter,) = by_backward(model, images, labels)
    assert score(model, images, labels, "grad_norm") == pytest.approx(float(parameter.grad.norm()), rel=1e-5)


def test_says_what_is_wrong():
    images, labels = batch()
    model = network()
    with pytest.raises(ProxyError, match="did you mean 'synflow'"):
        score(model, images, labels, "synfow")
    with pytest.raises(ProxyError, match="needs the images' labels"):
        score(model, images, None, "snip")
    with pytest.raises(ProxyError, match=r"not torch.uint8 \(6, 3, 8, 8\)"):
        score(model, images.to(torch.uint8), labels, "naswot")
    with pytest.raises(ProxyError, match="n > 1"):
        score(model, images[:1], labels[:1], "naswot")
    with pytest.raises(ProxyError, match=r"int64 \(6,\)"):
        score(model, images, labels[:3], "snip")
    with pytest.raises(ProxyError, match="10 classes"):
        score(model, images, labels + 10, "snip")
    with pytest.raises(ProxyError, match="no rectifiers"):
        score(linear_network(5, 2), FLAT, None, "naswot")
    with pytest.raises(ProxyError, match="does not run on images"):
        score(model, images[:, :1], labels, "naswot")
    with pytest.raises(ProxyError, match="classes"):
        score(model[:4], images, labels, "grad_norm")
    with torch.device("meta"):
        hollow = network()
    with pytest.raises(ProxyError, match="meta device"):
        score(hollow, images, labels, "synflow")
    with torch.no_grad():
        model[0].weight.fill_(math.nan)
    for proxy in ("grad_norm", "naswot", "synflow", "jacob_cov", "fisher", "snip"):
        with pytest.raises(ProxyError, match=r"not a number|finite|logarithm"):
            score(model, images, labels, proxy)
