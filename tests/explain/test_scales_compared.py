"""Scales of predicted weights beside a module's own."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from explained_graphs import small_ghn
from torch import Tensor, nn

import ghn_init
from ghn_init.calibration import CalibrationError
from ghn_init.explain import Scale, compare_scales


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))


def test_scales_are_those_of_the_tensors_and_the_module_stays() -> None:
    torch.manual_seed(0)
    module, batch = Small(), torch.randn(16, 3, 12, 12)
    before = copy.deepcopy(module.state_dict())
    prediction = ghn_init.predict(module, small_ghn("graphormer"), example_inputs=batch)
    found = compare_scales(prediction, module, batch=iter([batch]))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [weight.name for weight in found.weights] == list(prediction.names)
    for weight in found.weights:
        assert weight.own == pytest.approx(float(before[weight.name].double().square().mean().sqrt()))
        assert weight.predicted == pytest.approx(float(prediction[weight.name].double().square().mean().sqrt()))
    activations = {scale.name: scale for scale in found.activations}
    assert list(activations) == ["conv", "norm", "fc"]
    predicted = copy.deepcopy(module)
    prediction.load_into(predicted)
    with torch.no_grad():
        for scale, network in ((activations["conv"].own, module), (activations["conv"].predicted, predicted)):
            assert scale == pytest.approx(float(network.conv(batch).square().mean().sqrt()), rel=1e-4)
    assert found.to_dict()["weights"][0]["ratio"] == found.weights[0].ratio
    assert "conv.weight" in str(found)


@pytest.mark.parametrize(
    ("own", "predicted", "ratio", "far"),
    [(1, 2, 2, False), (1, 11, 11, True), (1, 0.09, 0.09, True), (0, 0, 1, False), (0, 1, math.inf, False)],
)
def test_ratios(own: float, predicted: float, ratio: float, far: bool) -> None:
    scale = Scale("x", own, predicted)
    assert (scale.ratio, scale.far) == (ratio, far)


def test_a_module_without_memory_has_no_scales() -> None:
    with torch.device("meta"):
        module = Small()
    batch = torch.zeros(2, 3, 12, 12)
    with pytest.raises(CalibrationError, match="meta device"):
        compare_scales(ghn_init.predict(module, small_ghn("graphormer"), example_inputs=batch), module)
