"""Regression on embeddings: scikit-learn's numbers, no leaks between folds, files that hold numbers alone."""

import math
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from sklearn.compose import TransformedTargetRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from torch import nn

from ghn_init import GHN, GHNConfig
from ghn_init.evaluation import SplitNetwork
from ghn_init.properties import PropertyError, PropertyPredictor, cross_validate, embed, size_features
from ghn_init.properties.files import read
from ghn_init.properties.regression import KINDS, fit

MODELS = {"ridge": Ridge, "svr": SVR, "kernel_ridge": KernelRidge}


def new_ghn(seed=0):
    torch.manual_seed(seed)
    return GHN(GHNConfig(hid=16, max_shape=(8, 8, 7, 7), num_classes=10, heads=4, layers=2)).eval()


@pytest.fixture(scope="module")
def ghn():
    return new_ghn()


def network(width, depth):
    middle = [part for _ in range(depth) for part in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(3, width, 3), *middle, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
        )


@pytest.fixture(scope="module")
def networks():
    return [network(width, depth) for width in (4, 8, 16, 32) for depth in range(6)]


def data(n=40, features=5, seed=0, curved=False):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=generator) * 3 + 1
    y = (x[:, 0] * 1.5).sin() + (x[:, 1] - 1).square() / 9 if curved else x @ torch.arange(1.0, features + 1)
    return x, y + 0.05 * torch.randn(n, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_is_scikit_learns(kind):
    x, y = data(curved=True)
    function, chosen = fit(x[:30], y[:30], kind)
    options = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.e-]+)", chosen)}
    model = MODELS[kind](**options, **({} if kind == "ridge" else {"kernel": "rbf"}))
    whole = TransformedTargetRegressor(make_pipeline(StandardScaler(), model), transformer=StandardScaler())
    expected = whole.fit(x[:30].double().numpy(), y[:30].double().numpy()).predict(x[30:].double().numpy())
    np.testing.assert_allclose(function(x[30:]).numpy(), expected, rtol=1e-6)


def test_chooses_the_kind_that_suits():
    function, chosen = fit(*data())
    assert chosen.startswith("Ridge(")
    x, y = data(60, 2, curved=True)
    function, chosen = fit(x, y)
    assert chosen.startswith(("SVR(", "KernelRidge("))
    assert r2_score(y, function(x)) > r2_score(y, fit(x, y, "ridge")[0](x)) + 0.1


def test_scores_are_those_of_scipy_and_scikit_learn():
    x, y = data()
    found = cross_validate({"x": x}, y, folds=4, repeats=3, regressor="ridge", target="height")
    rows = found.predictions["x"].numpy()
    assert rows.shape == (3, 40)
    own = found["x"]
    assert own.r2 == pytest.approx(np.mean([r2_score(y, row) for row in rows]))
    assert own.spearman == pytest.approx(np.mean([spearmanr(y, row).statistic for row in rows]))
    assert own.kendall == pytest.approx(np.mean([kendalltau(y, row).statistic for row in rows]))
    assert own.r2 > 0.99
    assert -0.3 < found["mean"].r2 < 0
    assert found["mean"].kendall is None
    assert not np.array_equal(rows[0], rows[1])  # other folds
    assert "height of 40 networks, 3 x 4-fold" in str(found)
    assert found.to_dict()["scores"][0]["r2"] == own.r2
    assert "<pre" in found._repr_html_()


def test_a_prediction_does_not_depend_on_its_own_value():
    x, y = data()
    other = y.clone()
    other[7] += 100
    first = cross_validate({"x": x}, y, repeats=1, regressor="ridge").predictions
    second = cross_validate({"x": x}, other, repeats=1, regressor="ridge").predictions
    for name in ("x", "mean"):
        assert torch.equal(first[name][:, 7], second[name][:, 7])
        assert not torch.allclose(first[name], second[name])


def test_noise_cannot_be_predicted():
    x, _ = data(60)
    noise = torch.randn(60, generator=torch.Generator().manual_seed(5))
    found = cross_validate({"x": x}, noise, repeats=3, regressor="ridge")
    assert found["x"].r2 < 0.1
    assert abs(found["x"].kendall) < 0.3


def test_sizes_are_known_numbers():
    with torch.device("meta"):
        layer = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    row = size_features([layer], image_size=16)[0]
    expected = [math.log(3 * 8 * 9 + 8 + 90), math.log(3 * 8 * 9 * 256 + 80)]
    np.testing.assert_allclose(row[:2].numpy(), expected)
    from ghn_init import trace

    assert row[2] == len(trace(layer))
    subject = SplitNetwork("search", 3)
    torch.testing.assert_close(size_features([subject]), size_features([subject.build(10, 32)]))
    resnet = size_features(["torchvision:resnet18"], image_size=224)[0]
    assert math.exp(resnet[0]) == pytest.approx(11_689_512)
    assert math.exp(resnet[1]) == pytest.approx(1.814e9, rel=1e-3)  # torchvision's table has 1.81 GFLOPS
    with pytest.raises(PropertyError, match="ArchGraph"):
        size_features([trace(layer)])
    with pytest.raises(PropertyError, match="16 x 16"):
        size_features([nn.Sequential(nn.Flatten(), nn.Linear(3, 10))], image_size=16)


def test_learns_the_depth_of_networks_and_tells_it_of_new_ones(ghn, networks):
    depths = [float(depth) for _ in range(4) for depth in range(6)]
    predictor = PropertyPredictor(ghn, target="depth", regressor="ridge").fit(networks, depths)
    new = [network(12, depth) for depth in range(6)]
    found = predictor.predict(new)
    assert kendalltau(found, range(6)).statistic == pytest.approx(1)
    assert predictor.predict(new[4]) == pytest.approx(float(found[4]), abs=1e-3)
    assert isinstance(predictor.predict(new[4]), float)
    torch.testing.assert_close(predictor.predict(embed(new, ghn)), found)
    assert "depth" in str(predictor)
    assert "Ridge(alpha=" in str(predictor)
    assert "24 networks" in str(predictor)
    checked = predictor.cross_validate(networks, depths, folds=3, repeats=1)
    assert [row.features for row in checked.scores] == ["embedding", "sizes", "embedding and sizes", "mean"]
    assert checked["embedding"].r2 > 0.5
    alone = predictor.cross_validate(embed(networks, ghn), depths, folds=3, repeats=1)
    assert [row.features for row in alone.scores] == ["embedding", "mean"]
    assert alone["embedding"].r2 == pytest.approx(checked["embedding"].r2, abs=1e-3)


@pytest.mark.parametrize("regressor", KINDS)
def test_a_file_gives_the_same_predictions(tmp_path, ghn, networks, regressor):
    x = embed(networks, ghn)
    fitted = PropertyPredictor(ghn, target="width", regressor=regressor, image_size=16)
    path = fitted.fit(x, x[:, 0] + x[:, 1].square()).save(tmp_path / "width.safetensors")
    loaded = PropertyPredictor.load(path, ghn)
    assert torch.equal(loaded.predict(x), fitted.predict(x))
    assert str(loaded) == str(fitted)
    assert loaded.save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with pytest.raises(PropertyError, match="another GHN"):
        PropertyPredictor.load(path, new_ghn(1))
    with pytest.raises(PropertyError, match="without a name"):
        PropertyPredictor.load(path)


def test_a_file_names_its_checkpoint(tmp_path, networks):
    predictor = PropertyPredictor(regressor="ridge").fit(networks, [float(place) for place in range(len(networks))])
    path = predictor.save(tmp_path / "place.safetensors")
    assert PropertyPredictor.load(path).predict(networks[3]) == predictor.predict(networks[3])


def test_refuses_files_that_are_none_of_its_own(tmp_path, ghn):
    from safetensors.torch import save_file

    class Harmful:
        def __reduce__(self):
            return (exec, ("raise AssertionError('it ran')",))

    path = tmp_path / "x.safetensors"
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(PropertyError, match="damaged"):
        PropertyPredictor.load(path, ghn)
    save_file({"centre": torch.zeros(3)}, path)
    with pytest.raises(PropertyError, match="no predictor"):
        PropertyPredictor.load(path, ghn)
    with pytest.raises(FileNotFoundError):
        PropertyPredictor.load(tmp_path / "missing", ghn)


@pytest.fixture(scope="module")
def good_file(tmp_path_factory, ghn):
    x = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("file") / "good.safetensors"
    return PropertyPredictor(ghn, regressor="svr").fit(x, x[:, 0]).save(path)


@settings(max_examples=150)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_finite(good_file, place, byte, cut):
    content = bytearray(good_file.read_bytes())
    index = int(place * len(content))
    content[index] = byte
    damaged = good_file.with_name("damaged")
    damaged.write_bytes(content[:index] if cut else content)
    message = ""
    try:
        function, _ = read(damaged)
        assert torch.cat([function.weights, function.support.flatten()]).isfinite().all()
    except PropertyError as error:
        message = str(error)
    assert not message or str(damaged) in message


def test_says_what_is_wrong(ghn, networks, tmp_path):
    predictor = PropertyPredictor(ghn)
    with pytest.raises(PropertyError, match="call fit first"):
        predictor.predict(networks[0])
    with pytest.raises(PropertyError, match="call fit first"):
        predictor.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(PropertyError, match="give several"):
        predictor.fit(networks[0], [1.0])
    with pytest.raises(PropertyError, match="too few"):
        predictor.fit(networks[:5], range(5))
    with pytest.raises(PropertyError, match="do not fit"):
        predictor.fit(networks, range(5))
    with pytest.raises(PropertyError, match="not finite"):
        predictor.fit(networks, [math.nan] * 24)
    with pytest.raises(PropertyError, match="all values are the same"):
        predictor.fit(networks, [1.0] * 24)
    with pytest.raises(PropertyError, match=r"\(n, 16\)"):
        predictor.fit(torch.zeros(24, 3), range(24))
    with pytest.raises(PropertyError, match="no regressor 'forest'"):
        PropertyPredictor(ghn, regressor="forest").fit(networks, range(24))
    with pytest.raises(PropertyError, match="folds"):
        predictor.cross_validate(networks, range(24), folds=1)
