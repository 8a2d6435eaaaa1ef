"""Parts of a prediction: `layers`, `exclude`, and random numbers in it: `blend`, `floor`, `ceiling`."""

import math
import warnings

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import ghn_init
from ghn_init import GHN, GHNConfig
from ghn_init.options import BLEND


@pytest.fixture(scope="module")
def ghn():
    torch.manual_seed(0)
    return GHN(GHNConfig(hid=16, max_shape=(8, 8, 7, 7), num_classes=10, heads=4, layers=2)).eval()


@pytest.fixture
def model():
    torch.manual_seed(1)
    return timm.create_model("resnet10t", num_classes=10)


def changed(model, **options):
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    ghn_init.apply(model, **options)
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def of_modules(model, *paths):
    return {f"{path}.{name}" for path in paths for name, _ in model.get_submodule(path).named_parameters()}


def test_layers_are_modules_or_parameters(ghn, model):
    layers = ["layer1", "layer2.*.conv1", "fc.bias"]
    expected = of_modules(model, "layer1", "layer2.0.conv1") | {"fc.bias"}
    assert changed(model, ghn=ghn, layers=layers) == expected


def test_layers_left_out_have_their_reason(ghn, model):
    report = ghn_init.predict(model, ghn, layers="layer1").report
    assert report.left_alone["fc.weight"][1] == "not among the layers asked for"
    assert set(report.predicted) == of_modules(model, "layer1")


def test_leaving_out_what_was_asked_for_is_no_reason_to_warn(ghn, model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ghn_init.predict(model, ghn, layers="layer1")


def test_exclude_takes_modules_and_wins_over_layers(ghn, model):
    expected = of_modules(model, "layer1") - of_modules(model, "layer1.0.conv1")
    assert changed(model, ghn=ghn, layers="layer1", exclude="layer1.0.conv1") == expected


@pytest.mark.parametrize("option", [{"layers": ["layer9"]}, {"exclude": "layer9"}, {"blend": {"layer9": 0.5}}])
def test_a_pattern_that_fits_nothing_is_warned_of(ghn, model, option):
    with pytest.warns(UserWarning, match="layer9"):
        ghn_init.predict(model, ghn, **option)


@pytest.mark.parametrize("blend", [-0.1, 1.1, float("nan"), {"fc": 2.0}])
def test_a_share_is_from_0_to_1(ghn, model, blend):
    before = model.fc.weight.detach().clone()
    with pytest.raises(ValueError, match="blend"):
        ghn_init.apply(model, ghn, blend=blend)
    assert torch.equal(model.fc.weight, before)


@pytest.mark.parametrize("noise", [-1e-5, float("nan"), float("inf")])
def test_a_noise_is_finite_and_not_negative(ghn, model, noise):
    before = model.fc.weight.detach().clone()
    with pytest.raises(ValueError, match="noise is a standard deviation"):
        ghn_init.apply(model, ghn, noise=noise)
    assert torch.equal(model.fc.weight, before)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_blended_weight_points_as_far_to_the_prediction_as_its_share_says(ghn, model, share):
    pure = ghn_init.predict(model, ghn, noise=0, blend=0)
    mixed = ghn_init.predict(model, ghn, noise=0, blend=share, floor=0)
    name = "layer4.0.conv2.weight"
    cosine = torch.cosine_similarity(pure[name].flatten(), mixed[name].flatten(), dim=0)
    assert cosine == pytest.approx((1 - share) / ((1 - share) ** 2 + share**2) ** 0.5, abs=0.02)
    rms = [p[name].square().mean((1, 2, 3)).sqrt() for p in (pure, mixed)]
    torch.testing.assert_close(rms[1], rms[0], rtol=0.1, atol=0)
    for vector in ("layer4.0.bn1.weight", "layer4.0.bn1.bias"):
        assert torch.equal(pure[vector], mixed[vector])


def test_copies_of_a_block_become_different_channels(ghn, model):
    weight = ghn_init.predict(model, ghn, noise=0, blend=0.5)["layer4.0.conv2.weight"].flatten(1)
    assert torch.linalg.matrix_rank(weight) == weight.shape[0]
    bare = ghn_init.predict(model, ghn, noise=0, blend=0)["layer4.0.conv2.weight"].flatten(1)
    assert torch.linalg.matrix_rank(bare) <= 8  # the out channels of a block


def test_shares_by_pattern_the_first_that_fits_counts(ghn, model):
    pure, mixed = (ghn_init.predict(model, ghn, noise=0, blend=b) for b in (0.0, {"layer1.0.conv1": 0, "layer1": 0.5}))
    same = {name for name in pure if torch.equal(pure[name], mixed[name])}
    weights = {name for name in pure if pure[name].dim() > 1 and name.startswith("layer1.")}
    assert set(pure) - same == weights - {"layer1.0.conv1.weight"}


def to_the_prediction(model, **options):
    """Cosines of the weights to those that are predicted."""
    pure = ghn_init.predict(model, head=True, noise=0, blend=0)
    mixed = ghn_init.predict(model, noise=0, floor=0, ceiling=0, **options)
    return {
        name: float(torch.cosine_similarity(pure[name].flatten(), mixed[name].flatten(), dim=0))
        for name in mixed
        if pure[name].dim() > 1
    }


MIXED = (1 - BLEND) / math.hypot(1 - BLEND, BLEND)


@pytest.mark.parametrize("options", [{"head": False}, {"exclude": "fc"}, {"layers": ["conv1", "layer*"]}])
def test_without_the_head_the_later_half_of_the_weights_is_random(model, options):
    cosines = to_the_prediction(model, **options)
    later = [name for name, cosine in cosines.items() if abs(cosine) < 0.06]
    assert set(later) - of_modules(model, "layer2") == set(cosines) & of_modules(model, "layer3", "layer4")
    assert (len(later), len(cosines)) == (7, 14)
    assert [cosines[name] for name in cosines if name not in later] == pytest.approx([MIXED] * 7, abs=0.002)
    report = ghn_init.predict(model, **options).report
    assert {name for name, share in report.random_shares.items() if share == 1} == set(later)
    assert f"7 of 14 weights, from {later[0]} on" in str(report).replace("\n", " ")


@pytest.mark.parametrize("options", [{}, {"head": True}, {"head": False, "blend": BLEND}, {"layers": ["fc", "layer4"]}])
def test_otherwise_a_tenth_of_every_weight_is(model, options):
    cosines = list(to_the_prediction(model, **options).values())
    assert cosines == pytest.approx([MIXED] * len(cosines), abs=0.002)
    assert len(cosines) > 1


def test_a_head_for_other_classes_that_is_asked_for_is_predicted_with_all_before_it():
    torch.manual_seed(1)
    model = timm.create_model("resnet10t", num_classes=12)
    shares = ghn_init.predict(model, head=True).report.random_shares
    assert set(shares.values()) == {BLEND}
    assert "fc.weight" in shares
    assert 1 in ghn_init.predict(model).report.random_shares.values()


def test_later_is_what_is_executed_later():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(32, 7)
            self.second = nn.Conv2d(16, 32, 3)
            self.first = nn.Conv2d(3, 16, 3)

        def forward(self, x):
            return self.head(self.second(self.first(x).relu()).mean((2, 3)))

    shares = ghn_init.predict(Reversed(), example_inputs=torch.zeros(1, 3, 16, 16)).report.random_shares
    assert shares == {"first.weight": BLEND, "second.weight": 1.0}


def test_blends_are_the_same_in_memory_and_on_disk_and_written_twice(ghn, model, tmp_path):
    prediction = ghn_init.predict(model, ghn, blend=0.4, seed=3)
    prediction.load_into()
    once = {name: value.detach().clone() for name, value in model.named_parameters()}
    prediction.load_into()
    prediction.save(tmp_path / "net.safetensors")
    stored = load_file(tmp_path / "net.safetensors")
    for name, value in model.named_parameters():
        assert torch.equal(value, once[name])
        assert torch.equal(value, stored[name])


def test_the_seed_is_that_of_the_random_numbers(ghn):
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 1))

    def weight(seed):
        return ghn_init.predict(net, ghn, blend=0.5, seed=seed)["0.weight"]

    assert torch.equal(weight(0), weight(0))
    assert not torch.allclose(weight(0), weight(1), atol=1e-3)


def test_half_precision_and_odd_strides_get_the_same_numbers(ghn, model):
    exact = ghn_init.predict(model, ghn, blend=0.5)
    values = dict(exact.items())
    half = ghn_init.apply(model.to(torch.bfloat16).to(memory_format=torch.channels_last), ghn, blend=0.5)
    for name, value in half.named_parameters():
        torch.testing.assert_close(value.float(), values[name], rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("limit", ["floor", "ceiling"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_limits_are_finite_and_not_negative(ghn, model, limit, value):
    with pytest.raises(ValueError, match=f"{limit} is a share"):
        ghn_init.apply(model, ghn, **{limit: value})


def test_a_floor_concerns_weights_that_are_mixed_with_random_numbers(ghn):
    transformer = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=48, depth=2, num_classes=10)
    pure, low, high = (ghn_init.predict(transformer, ghn, noise=0, floor=floor) for floor in (0, 0.3, 100))
    for prediction in (pure, low, high):
        prediction.load_into()
    weights = {name for name in pure if "attn" in name or "mlp" in name or "patch" in name} & {
        name for name in pure if name.endswith("weight")
    }
    assert pure.report.replaced == {}
    assert set(low.report.replaced) <= weights
    assert set(high.report.replaced) == weights
    for name in pure:
        if name not in weights:  # heads, tokens, the table of positions, norms and biases
            assert torch.equal(pure[name], high[name])
        else:
            fan_in = high[name][0].numel()
            assert high[name].std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
            assert high.report.replaced[name] == 1
    bare = [ghn_init.predict(transformer, ghn, noise=0, blend=0, floor=floor) for floor in (0, 100)]
    assert all(torch.equal(bare[0][name], bare[1][name]) for name in bare[0])


def test_the_floor_works_by_out_channel_and_says_how_many(ghn, model, tmp_path):
    pure = ghn_init.predict(model, ghn, noise=0, floor=0, ceiling=0)
    name = "layer2.0.conv2.weight"
    sizes = pure[name].square().mean((1, 2, 3)).sqrt() / (2 / pure[name][0].numel()) ** 0.5
    prediction = ghn_init.predict(model, ghn, noise=0, floor=float(sizes.median()), ceiling=0)
    prediction.load_into()
    changed = (prediction[name] != pure[name]).flatten(1).all(dim=1)
    assert prediction.report.replaced[name] == pytest.approx(float(changed.float().mean()))
    assert 0.2 < prediction.report.replaced[name] < 0.8
    assert f"such as {next(iter(prediction.report.replaced))}" in " ".join(str(prediction.report).split())
    prediction.save(tmp_path / "net.safetensors")
    assert torch.equal(load_file(tmp_path / "net.safetensors")[name], prediction[name])


@pytest.mark.parametrize("out", [17, 40, 70])
def test_the_share_that_the_floor_replaces_counts_each_tile_as_far_as_it_goes(ghn, out):
    layer = nn.Sequential(nn.Conv2d(8, out, 3), nn.ReLU(), nn.Conv2d(out, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pure = ghn_init.predict(layer, ghn, noise=0, floor=0)
    rms = pure["0.weight"].square().mean((1, 2, 3)).sqrt() / (2 / 72) ** 0.5
    prediction = ghn_init.predict(layer, ghn, noise=0, floor=float(rms.quantile(0.3)))
    changed = (prediction["0.weight"] != pure["0.weight"]).flatten(1).all(dim=1)
    assert 0 < changed.sum() < out
    assert prediction.report.replaced["0.weight"] == pytest.approx(float(changed.float().mean()))


def test_norms_over_several_dimensions_are_factors_and_offsets(ghn):
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.LayerNorm([16, 8, 8]), nn.Flatten(), nn.Linear(1024, 10))
    values = ghn_init.predict(model, ghn, example_inputs=torch.zeros(1, 3, 8, 8))
    flat = ghn_init.predict(
        nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Flatten(), nn.LayerNorm(1024), nn.Linear(1024, 10)),
        ghn,
        example_inputs=torch.zeros(1, 3, 8, 8),
    )
    for name, like in (("1.weight", "2.weight"), ("1.bias", "2.bias")):
        assert values[name].shape == (16, 8, 8)
        assert values[name].mean() == pytest.approx(float(flat[like].mean()), abs=0.3)
    assert values["1.weight"].mean() > 0.5


def test_numbers_in_place_of_small_weights_fit_into_half_precision(ghn):
    wide = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 10, 1)).half()
    ghn_init.apply(wide, ghn, floor=50.0)
    assert all(torch.isfinite(value).all() for value in wide.parameters())


def sizes(prediction):
    """Root mean squares of matrices and kernels, as shares of He's deviation."""
    weights = {name: prediction[name] for name in prediction if prediction[name].dim() > 1}
    return {name: float(w.square().mean().sqrt() / (2 / w[0].numel()) ** 0.5) for name, w in weights.items()}


def test_a_ceiling_lowers_weights_before_batch_norm_and_changes_nothing_that_the_network_computes(model):
    plain, low = (ghn_init.predict(model, noise=0, ceiling=ceiling) for ceiling in (0, 1))
    before, after = sizes(plain), sizes(low)
    lowered = {name for name, size in before.items() if size > 1.001 and name != "fc.weight"}
    assert len(lowered) > len(before) / 2
    for name, size in before.items():
        assert after[name] == pytest.approx(1.0 if name in lowered else size, rel=3e-4)
    model, x, logits = model.double().train(), torch.randn(8, 3, 64, 64, dtype=torch.float64), []
    for prediction in (plain, low):
        prediction.load_into(model)
        logits.append(model(x))
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-3, atol=1e-3)


def test_a_ceiling_concerns_weights_that_are_mixed_with_random_numbers(model):
    bare, capped = (ghn_init.predict(model, noise=0, blend=0, ceiling=ceiling) for ceiling in (0, 1))
    assert all(torch.equal(bare[name], capped[name]) for name in bare)
    partly = sizes(ghn_init.predict(model, noise=0, blend={"layer1": 0.25}))
    own = sizes(bare)
    assert {name for name in own if partly[name] < 0.99 * own[name]} <= of_modules(model, "layer1")


def test_files_have_weights_below_the_ceiling_and_say_so(model, tmp_path):
    prediction = ghn_init.predict(model, ceiling=0.5)
    prediction.save(tmp_path / "net.safetensors")
    prediction.load_into(model)
    for name, value in load_file(tmp_path / "net.safetensors").items():
        assert torch.equal(value, model.state_dict()[name])
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert file.metadata()["ghn_init.ceiling"] == "0.5"
    assert max(size for name, size in sizes(prediction).items() if name != "fc.weight") < 0.501


def test_weights_that_half_precision_cannot_hold_are_refused_whatever_the_ceiling():
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=16, max_shape=(8, 8, 7, 7), num_classes=10, heads=4, layers=2)).eval()
    with torch.no_grad():
        for parameter in ghn.decoder.parameters():
            parameter.mul_(500.0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
    predicted = ghn_init.predict(model, ghn, ceiling=0)
    assert max(float(predicted[name].abs().max()) for name in predicted) > torch.finfo(torch.float16).max
    before = {name: value.clone() for name, value in model.half().named_parameters()}
    for ceiling in (0, 0.7):
        with pytest.raises(ghn_init.PredictionError, match=r"range of torch\.float16"):
            ghn_init.apply(model, ghn, ceiling=ceiling)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
