"""`calibrate` against a plain layer-by-layer LSUV that is written here, and what it promises about the module."""

import itertools
import json
import math

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from ghn_init.calibration import CalibrationError, calibrate, restored_on_error


def wild(module, seed=0):
    """Weights of all scales."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.normal_(generator=generator).mul_(10 ** float(torch.randn((), generator=generator)))
    return module


def statistics_of_the_batch(module):
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.train()
            part.momentum = 0.0
    return module


def product(layer, data):
    """A convolution or linear layer without its bias."""
    if isinstance(layer, nn.Linear):
        return F.linear(data, layer.weight)
    return layer._conv_forward(data, layer.weight, None)


def products(module, batch):
    """Every layer, in order of execution, with the standard deviation of its product."""
    found = {}
    names = {id(part): name for name, part in module.named_modules()}

    def hook(layer, inputs, output):
        found.setdefault(names[id(layer)], float(product(layer, inputs[0]).double().std(correction=0)))

    layers = [part for part in module.modules() if isinstance(part, (nn.Linear, nn.Conv2d))]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    with torch.no_grad():
        module(batch)
    for handle in handles:
        handle.remove()
    return found


def layer_by_layer(module, batch, tolerance=0.1):
    """Algorithm 1 of Mishkin & Matas (2016): one layer after the other, with forward passes for each."""
    statistics_of_the_batch(module)
    for name in products(module, batch):
        for _ in range(5):
            scale = products(module, batch)[name]
            if abs(scale - 1) <= tolerance or scale == 0:
                break
            with torch.no_grad():
                module.get_submodule(name).weight.div_(scale)
    return module


def mlp():
    sizes = (12, 40, 40, 40, 5)
    layers = [part for pair in itertools.pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers)


def vgg():
    """torchvision's layers of a VGG, few of them."""
    features = torchvision.models.vgg.make_layers([8, "M", 16, 16, "M"])
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


NETWORKS = {
    "mlp": (mlp, (16, 12)),
    "plain": (vgg, (4, 3, 32, 32)),
    "batch norm": (lambda: timm.create_model("test_resnet", num_classes=4), (2, 3, 64, 64)),
    "depthwise, gates": (lambda: timm.create_model("test_efficientnet", num_classes=4), (2, 3, 64, 64)),
    "transformer": (lambda: timm.create_model("test_vit", num_classes=4, img_size=64), (2, 3, 64, 64)),
    "layer scale": (lambda: timm.create_model("test_convnext", num_classes=4), (2, 3, 64, 64)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_are_those_of_a_plain_layer_by_layer_lsuv(kind):
    make, shape = NETWORKS[kind]
    batch = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    ours, plain = wild(make()), None
    plain = make()
    plain.load_state_dict(ours.state_dict())
    start = {name: value.clone() for name, value in ours.state_dict().items()}
    report = calibrate(ours, batch)
    layer_by_layer(plain, batch)
    expected = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        if parameter.dim() > 1:
            # the plain one goes on from rounded weights, and both stop within the tolerance
            torch.testing.assert_close(parameter, expected[name], rtol=2e-3, atol=1e-6, msg=name)
        else:
            assert torch.equal(parameter, start[name]), name
    assert all(torch.equal(buffer, start[name]) for name, buffer in ours.named_buffers())
    scales = products(statistics_of_the_batch(ours), batch)
    assert scales.keys() == {weight.name.removesuffix(".weight") for weight in report.weights}
    for weight in report.weights:
        now = scales[weight.name.removesuffix(".weight")]
        assert now == pytest.approx(1, abs=0.1)
        assert now == pytest.approx(weight.after, rel=1e-3)


def test_report_tells_scales_factors_and_reasons():
    batch = torch.randn(16, 12)
    model = wild(mlp())
    before = products(model, batch)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    report = calibrate(model, batch, names=["0.weight", "4.weight", "6.bias"])
    assert [weight.name for weight in report.weights] == ["0.weight", "2.weight", "4.weight", "6.weight"]
    for weight in report.weights:
        assert weight.before == pytest.approx(before[weight.name.removesuffix(".weight")], rel=1e-4)
    assert report.changed.keys() == {"0.weight", "4.weight"}
    assert report.left_alone == {"2.weight": "not to be changed", "6.weight": "not to be changed"}
    for name, factor in report.changed.items():
        torch.testing.assert_close(model.get_parameter(name).data, start[name] * factor)
    assert torch.equal(model[2].weight, start["2.weight"])
    assert torch.equal(model[6].weight, start["6.weight"])
    assert json.loads(json.dumps(report.to_dict()))["weights"][0]["factor"] == report.changed["0.weight"]
    assert "2 of 4 weights rescaled" in str(report)
    assert report.data == "given: input (16, 12)"
    assert "within tolerance" in calibrate(model, batch, names=["0.weight"]).left_alone["0.weight"]


def test_data_free_calibration_is_deterministic():
    first, second = (wild(timm.create_model("test_resnet", num_classes=4)) for _ in range(2))
    second.load_state_dict(first.state_dict())
    random_state = torch.get_rng_state()
    calibrate(first, seed=5)
    assert torch.equal(torch.get_rng_state(), random_state)
    calibrate(second, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_identity_modes_and_dtype_stay():
    model = wild(mlp().to(torch.bfloat16)).train()
    model[1].eval()
    parameters, pointers = list(model.parameters()), [p.data_ptr() for p in model.parameters()]
    flags = [part.training for part in model.modules()]
    calibrate(model, torch.randn(64, 12))
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert pointers == [p.data_ptr() for p in model.parameters()]
    assert flags == [part.training for part in model.modules()]
    assert all(p.dtype == torch.bfloat16 and p.requires_grad and p.grad is None for p in parameters)
    assert all(abs(scale - 1) < 0.12 for scale in products(model, torch.randn(512, 12).bfloat16()).values())


class Tied(nn.Module):
    """A language model in small: the embedding is the head, one layer is used twice."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.shared = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        hidden = self.embed(ids)
        hidden = hidden + self.shared(hidden).relu()
        return self.head(self.norm(self.shared(hidden)))


def test_tied_weights_are_rescaled_once_and_stay_tied():
    model = Tied()
    with torch.no_grad():
        model.embed.weight.mul_(30)
        model.shared.weight.mul_(100)
    ids = torch.randint(50, (4, 8))
    report = calibrate(model, ids, names=["embed.weight", "shared.weight", "head.weight"])
    assert model.head.weight is model.embed.weight
    assert report.changed.keys() == {"embed.weight", "shared.weight"}
    with torch.no_grad():
        hidden = model.embed(ids)
        first = F.linear(hidden, model.shared.weight)
        last = model(ids)
    assert float(first.std()) == pytest.approx(1, abs=0.1)
    assert float(last.std()) == pytest.approx(1, abs=0.1)


class Spelt(nn.Module):
    """Products of data and weights that no layer makes."""

    def __init__(self):
        super().__init__()
        self.conv = timm.layers.ScaledStdConv2d(3, 8, 3)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.einsum = nn.Parameter(torch.randn(8, 6) * 20)
        self.table = nn.Parameter(torch.randn(64, 64) / 50)
        self.added = nn.Parameter(torch.randn(6, 4) * 9)
        self.offset = nn.Parameter(torch.ones(4))

    def stages(self, images):
        data = self.conv(images).flatten(2).transpose(1, 2)
        yield "conv.gain", data - self.conv.bias
        query = self.attention.in_proj_weight, self.attention.in_proj_bias
        yield "attention.in_proj_weight", F.linear(data, query[0])
        data = self.attention(data, data, data)[0]
        yield "attention.out_proj.weight", data - self.attention.out_proj.bias
        data = self.normed(data)
        yield "normed.parametrizations.weight.original0", data - self.normed.bias
        data = torch.einsum("bnc,cd->bnd", data, self.einsum)
        yield "einsum", data
        data = self.table @ data
        yield "table", data
        data = torch.addmm(self.offset, data.flatten(0, 1), self.added)
        yield "added", data - self.offset

    def forward(self, images):
        return list(self.stages(images))[-1][1]


def test_products_are_found_however_they_are_spelt():
    torch.manual_seed(0)
    model, batch = Spelt().eval(), torch.randn(2, 3, 8, 8)
    report = calibrate(model, batch)
    assert [weight.name for weight in report.weights] == [name for name, _ in model.stages(batch)]
    for name, output in model.stages(batch):
        assert float(output.detach().std(correction=0)) == pytest.approx(1, abs=0.1), name


def test_a_standardised_weight_is_calibrated_by_its_gain():
    torch.manual_seed(0)
    model, batch = timm.create_model("test_nfnet", num_classes=4), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".gain"):
                parameter.mul_(3)
    report = calibrate(model, batch, names=["stem.conv1.weight", "final_conv.weight"])
    assert report.changed.keys() == {"stem.conv1.gain", "final_conv.gain"}
    with torch.no_grad():
        output = model.final_conv(model.stages(model.stem(batch))) - model.final_conv.bias.view(-1, 1, 1)
    assert float(output.std(correction=0)) == pytest.approx(1, abs=0.1)


class Routed(nn.Module):
    """Kernels that are mixed for each example, as in CondConv."""

    def __init__(self):
        super().__init__()
        self.experts = nn.Parameter(torch.randn(3, 4 * 6))

    def forward(self, data):
        kernels = (data[:1, :3].softmax(-1) @ self.experts).view(4, 6, 1)
        return F.conv1d(data[:, :, None], kernels)


def test_a_product_that_makes_a_kernel_is_not_taken_for_an_activation():
    model, batch = Routed(), torch.randn(64, 6)
    calibrate(model, batch)
    assert float(model(batch).detach().std(correction=0)) == pytest.approx(1, abs=0.1)


def test_nearly_constant_and_zero_outputs_are_not_blown_up():
    model = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 3, bias=False))
    nn.init.zeros_(model[1].weight)
    nn.init.ones_(model[0].weight)
    batch = 5 + 1e-6 * torch.randn(32, 4)
    report = calibrate(model, batch)
    assert float(model[0](batch).detach().abs().max()) == pytest.approx(10, rel=1e-3)
    assert report.left_alone == {"1.weight": "its output is zero"}
    assert not model[1].weight.any()


def test_only_if_needed():
    torch.manual_seed(0)
    model, batch = mlp(), torch.randn(16, 12)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    report = calibrate(model, batch, only_if_needed=True)
    assert not report.ran
    assert not report.changed
    assert "not needed" in str(report)
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        model[2].weight.mul_(1e5)
    assert calibrate(model, batch, only_if_needed=True).ran
    assert float(model(batch).detach().std()) < 2


def test_other_targets_and_frozen_parameters():
    model, batch = wild(mlp()), torch.randn(16, 12)
    model[0].weight.requires_grad_(False)
    frozen = model[0].weight.clone()
    calibrate(model, batch, target=0.25, tolerance=0.01)
    scales = products(model, batch)
    assert torch.equal(model[0].weight, frozen)
    assert [scales[name] for name in ("2", "4", "6")] == pytest.approx([0.25] * 3, rel=0.02)
    calibrate(model, batch, names=["0.weight"])  # named, it is rescaled nonetheless
    assert products(model, batch)["0"] == pytest.approx(1, abs=0.1)


def test_loaders_and_batches_of_every_kind():
    images, labels = torch.randn(8, 12), torch.zeros(8)
    results = []
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=8)
    for batch in (images, (images, labels), {"input": images, "labels": labels}, loader, [(images, labels)]):
        torch.manual_seed(0)
        model = wild(mlp())
        results.append(list(calibrate(model, batch).changed.values()))
    assert all(result == results[0] for result in results)


class Failing(nn.Module):
    calls = 0  # of the class: a measurement puts a module's own attributes back

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)

    def forward(self, data):
        Failing.calls += 1
        data = self.norm(self.first(data))
        if Failing.calls == 2:
            raise RuntimeError("out of luck")
        return self.second(data)


def test_an_error_leaves_the_module_bit_identical():
    def infinite(model):
        model.second.weight.data[0, 0] = math.nan

    def untouched(model):
        pass

    batch = torch.randn(8, 4)
    for spoil, error in ((untouched, RuntimeError), (infinite, CalibrationError)):
        model = wild(Failing()).train()
        Failing.calls = 0 if spoil is untouched else 5
        spoil(model)
        start = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(error):
            calibrate(model, batch)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, start[name], rtol=0, atol=0, equal_nan=True)
        assert all(part.training for part in model.modules())

    half = nn.Linear(4, 4, bias=False).half()  # the factor takes the largest weight beyond float16's range
    nn.init.zeros_(half.weight).data[0, 0] = 6e4
    start = half.weight.clone()
    with pytest.raises(CalibrationError, match="beyond the range"):
        calibrate(half, 1e-8 * torch.randn(8, 4).half() + torch.tensor([1e-6, 0, 0, 0]).half())
    assert torch.equal(half.weight, start)


def test_writing_and_calibrating_are_undone_together():
    model = mlp()
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def spoil():
        with restored_on_error(model, ["0.weight", "2.weight"]):
            nn.init.ones_(model[0].weight)
            nn.init.constant_(model[2].weight, math.inf)
            calibrate(model, torch.randn(4, 12))

    with pytest.raises(CalibrationError, match="not finite"):
        spoil()
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    with restored_on_error(model, ["0.weight"]):
        nn.init.ones_(model[0].weight)
    assert model[0].weight.eq(1).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="must be positive"):
        calibrate(mlp(), target=0)
    with pytest.raises(ValueError, match="nowhere"):
        calibrate(mlp(), names=["nowhere.weight"])
    with pytest.raises(CalibrationError, match="meta device"):
        calibrate(nn.Linear(3, 3, device="meta"))


def test_a_spectral_norm_makes_the_scale_its_own():
    """Whatever its weight is, its output is the same: the factors are found for the layers behind it."""
    torch.manual_seed(0)
    first = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 32))
    model = nn.Sequential(first, nn.ReLU(), nn.Linear(32, 10)).eval()
    batch = torch.randn(64, 16)
    before = model[0](batch)
    report = calibrate(model, batch)
    assert torch.equal(model[0](batch), before)
    product = model[1](before) @ model[2].weight.t()
    assert abs(float(product.detach().std(correction=0)) - 1) < 0.1
    assert set(report.changed) == {"2.weight"}


def test_the_report_has_the_scales_of_the_weights_as_written(caplog):
    class Twice(nn.Module):
        """A weight that is a factor, and a term that the factor of a product says nothing about."""

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(0.1 * torch.randn(16, 16))
            self.head = nn.Linear(16, 10)

        def forward(self, x):
            return self.head(x @ self.w + 30 * self.w)

    torch.manual_seed(0)
    model, batch = Twice(), torch.randn(16, 16)
    report = calibrate(model, batch)
    hidden = (batch @ model.w + 30 * model.w).detach()
    measured = float((hidden @ model.head.weight.t()).detach().std(correction=0))
    (head,) = (weight for weight in report.weights if weight.name == "head.weight")
    assert head.after == pytest.approx(measured, rel=0.01)
    assert "head.weight" in caplog.text


@pytest.mark.parametrize("layer", [nn.GRU(8, 8, batch_first=True), nn.LSTM(8, 8, batch_first=True)])
def test_recurrent_layers_stay_as_they_are(layer):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = layer, nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    model = Last()
    before = {name: value.clone() for name, value in model.rnn.state_dict().items()}
    report = calibrate(model, torch.randn(32, 5, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.rnn.state_dict().items())
    assert set(report.changed) == {"head.weight"}
