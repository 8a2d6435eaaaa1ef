"""`apply` with calibration: what it does to the module, the report, the files, and after an error."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

import ghn_init
from ghn_init.cli import app


class Plain(nn.Module):
    """Nothing keeps the scale of its activations but its weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(24, 24) for _ in range(6))
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


def products(model: Plain, x: torch.Tensor) -> list[float]:
    """Standard deviation of each layer's output without its bias, worked out by hand."""
    found = []
    for layer in [*model.layers, model.head]:
        found.append(float((x @ layer.weight.T).detach().std()))
        x = layer(x).relu()
    return found


@pytest.mark.parametrize("loader", [False, True])
def test_layers_have_unit_variance_on_the_batch(loader):
    batch = torch.randn(256, 24, generator=torch.Generator().manual_seed(3))
    plain = ghn_init.apply(Plain())
    model = ghn_init.apply(Plain(), calibrate=[(batch, torch.zeros(256))] if loader else batch)
    assert any(abs(scale - 1) > 0.3 for scale in products(plain, batch))
    assert all(abs(scale - 1) < 0.11 for scale in products(model, batch))
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        if one.dim() == 1:  # only the scale of weights changes
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one / one.norm(), other / other.norm())


def test_the_report_says_what_it_changed_and_files_have_it(tmp_path):
    model = Plain()
    prediction = ghn_init.predict(model)
    before = prediction["layers.0.weight"]
    prediction.load_into(calibrate=True)
    calibration = prediction.report.calibration
    assert calibration is not None
    assert set(calibration.changed) <= set(prediction.names)
    torch.testing.assert_close(model.layers[0].weight.detach(), before * calibration.changed.get("layers.0.weight", 1))
    assert "calibration" in str(prediction.report)
    assert json.loads(json.dumps(prediction.report.to_dict()))["calibration"]["ran"]
    prediction.save(tmp_path / "m.safetensors")
    saved = load_file(tmp_path / "m.safetensors")
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(saved[name], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_what_is_not_predicted_is_not_rescaled():
    model = Plain()
    own = model.layers[2].weight.detach().clone()
    ghn_init.apply(model, exclude=["layers.2.*"], calibrate=True)
    assert torch.equal(model.layers[2].weight, own)


def test_after_an_error_the_module_is_as_it_was():
    model = Plain()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ghn_init.CalibrationError):
        ghn_init.apply(model, calibrate=torch.full((4, 24), float("nan")))
    with pytest.raises(ghn_init.CalibrationError):
        ghn_init.apply(model, calibrate=torch.zeros(4, 7))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_after_an_error_with_one_of_a_list_all_are_as_they_were():
    class Strict(Plain):
        def forward(self, x):
            return super().forward(x) if len(x) < 8 else x.view(-1, 5)

    models = [Plain(), Strict()]
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    with pytest.raises(ghn_init.CalibrationError):
        ghn_init.apply(models, calibrate=torch.randn(8, 24))
    for model, values in zip(models, before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def test_the_same_bits_each_time_and_buffers_untouched():
    first, second = (timm.create_model("test_resnet", num_classes=10) for _ in range(2))
    second.load_state_dict(first.state_dict())
    buffers = {name: value.clone() for name, value in first.named_buffers()}
    for model in (first, second):
        ghn_init.apply(model, calibrate=True)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(value, buffers[name]) for name, value in first.named_buffers())


def test_the_command_writes_calibrated_weights(tmp_path):
    file = tmp_path / "net.safetensors"
    command = ["apply", "timm:test_resnet", "--num-classes", "10", "--calibrate", "-o", str(file), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["calibration"]["ran"]
    torch.manual_seed(0)
    model = ghn_init.apply(timm.create_model("test_resnet", num_classes=10), calibrate=True)
    saved = load_file(file)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(saved[name], parameter.detach())


def test_a_list_is_calibrated_on_one_batch_and_zero_is_off():
    batches = (torch.randn(64, 24, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    one, other = ghn_init.apply([Plain(), Plain()], calibrate=batches)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    plain, off = ghn_init.apply(Plain()), ghn_init.apply(Plain(), calibrate=0)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), off.parameters(), strict=True))
