"""`measure` against numpy and plain autograd."""

import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from ghn_init.calibration import CalibrationError, measure


def outputs_of(module, batch):
    """What each named leaf returns, by hooks of this test's own."""
    found = {}

    def hook_of(name):
        def hook(part, inputs, output):
            found[name] = output.detach().clone()

        return hook

    leaves = [(name, part) for name, part in module.named_modules() if not list(part.children())]
    handles = [part.register_forward_hook(hook_of(name)) for name, part in leaves]
    result = module(batch)
    for handle in handles:
        handle.remove()
    return found, result


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "test_convnext"])
def test_scales_are_those_of_numpy(name):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10).eval()
    for part in model.modules():  # as `measure` runs it
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.train()
    batch = torch.randn(3, *model.pretrained_cfg["input_size"])
    scales = measure(model, batch)
    with torch.no_grad():
        expected, _ = outputs_of(model, batch)
    layers = {layer.name: layer for layer in scales.layers}
    weighted = [key for key in expected if list(model.get_submodule(key).parameters())]
    assert list(layers) == [key for key in expected if key in weighted]  # in order of execution, none missing
    for key in weighted:
        values = expected[key].numpy().astype(np.float64)
        layer = layers[key]
        np.testing.assert_allclose(
            [layer.mean, layer.std, layer.rms, layer.dead],
            [values.mean(), values.std(), np.sqrt((values**2).mean()), (values == 0).mean()],
            rtol=1e-4,
            atol=1e-5,
        )
        assert layer.layer == type(model.get_submodule(key)).__name__


def test_gradients_are_those_of_autograd():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    model[0].bias.requires_grad_(False)
    batch = torch.randn(6, 5)
    scales = measure(model, batch, seed=4)
    targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(4))
    loss = nn.functional.mse_loss(model(batch), targets)
    loss.backward()
    expected = {name: float(np.linalg.norm(p.grad)) for name, p in model.named_parameters() if p.grad is not None}
    assert scales.loss == pytest.approx(loss.item(), rel=1e-5)
    assert scales.gradients == pytest.approx(expected, rel=1e-4)
    assert scales.finite


def test_a_module_is_afterwards_as_it_was():
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=4).train()
    model.layer1.eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [part.training for part in model.modules()]
    pointers = [tensor.data_ptr() for tensor in model.state_dict().values()]
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    random_state = torch.get_rng_state()
    measure(model, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert [part.training for part in model.modules()] == flags
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == pointers
    assert torch.equal(model.fc.weight.grad, torch.ones_like(model.fc.weight))
    assert model.conv1.weight.grad is None
    assert not model.conv1._forward_hooks
    assert torch.equal(torch.get_rng_state(), random_state)


def test_running_statistics_instead_of_the_batchs():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[1].running_mean.fill_(5.0)
    batch = torch.randn(64, 3)
    by_batch, by_running = (measure(model, batch, batch_statistics=flag).layers[1] for flag in (True, False))
    assert by_batch.mean == pytest.approx(0, abs=1e-5)
    expected = model.eval()(batch).detach().numpy()
    assert by_running.mean == pytest.approx(expected.mean(), rel=1e-4)


def test_measuring_again_after_a_change_of_weights_that_a_module_keeps_copies_of():
    torch.manual_seed(0)
    model = timm.create_model("efficientvit_m0", num_classes=2).eval()
    batch = torch.randn(2, 3, 224, 224)
    first = measure(model, batch)
    with torch.no_grad():
        for part in model.modules():
            if hasattr(part, "attention_biases"):
                part.attention_biases.normal_(std=5)
    assert measure(model, batch).layers != first.layers


@dataclasses.dataclass
class Record:
    first: torch.Tensor
    rest: list


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, ids, mask):
        hidden, (state, _) = self.lstm(self.embed(ids) * mask[..., None])
        return {"record": Record(self.head(hidden), [state]), "ids": ids}


def test_ids_as_inputs_records_as_outputs_and_a_layer_called_twice():
    model = Odd()
    scales = measure(model, {"ids": torch.randint(11, (2, 5)), "mask": torch.ones(2, 5), "unused": None})
    assert [layer.name for layer in scales.layers if layer.name != "lstm"] == ["embed", "head"]
    assert scales.gradients.keys() == dict(model.named_parameters()).keys()

    shared = nn.Linear(3, 3)
    twice = measure(nn.Sequential(shared, nn.ReLU(), shared), torch.randn(4, 3))
    assert [layer.name for layer in twice.layers] == ["0", "0#2"]


def test_beside_the_own_init():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    batch = torch.randn(8, 4)
    own = measure(model, batch)
    with torch.no_grad():
        model[0].weight.mul_(3)
        model[1].weight.mul_(2)
    ratios = measure(model, batch).ratios(own)
    assert ratios == pytest.approx({"0": 3.0, "1": 6.0}, rel=1e-5)


def test_vanishing_exploding_and_infinite_activations_are_told():
    model = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(4)))
    with torch.no_grad():
        for layer, size in zip(model, (1e-5, 1e9, 1e-3, 1e38), strict=True):
            layer.weight.copy_(torch.eye(4) * size)
    scales = measure(model, torch.randn(8, 4))
    assert scales.vanishing == ["0"]
    assert scales.exploding == ["1", "3"]
    assert scales.smallest.name == "0"
    assert scales.largest.name == "3"
    with torch.no_grad():
        model[3].weight.fill_(torch.inf)
    scales = measure(model, torch.randn(8, 4))
    assert not scales.outputs_finite
    assert not scales.finite
    assert not scales.layers[3].finite
    assert scales.layers[2].finite
    text, data = str(scales), json.dumps(scales.to_dict())
    assert "NOT finite" in text
    assert '"name": "3"' in data


def test_random_batches_of_the_shapes_that_a_model_takes_are_deterministic():
    model = timm.create_model("test_vit", num_classes=10)
    assert measure(model, seed=3) == measure(model, seed=3)
    assert measure(model, seed=3).layers != measure(model, seed=4).layers
    assert "(4, 3, 160, 160)" in measure(model).data
    assert "(2, 3, 160, 160)" in measure(model, example_inputs=torch.zeros(2, 3, 160, 160)).data


def test_errors_say_what_to_do():
    with pytest.raises(CalibrationError, match="meta device"):
        measure(nn.Linear(3, 3, device="meta"))
    with pytest.raises(CalibrationError, match="pass a batch"):
        measure(nn.Linear(3, 3), torch.randn(2, 4))
    with pytest.raises(CalibrationError, match="loader is empty"):
        measure(nn.Linear(3, 3), iter([]))
    with pytest.raises(CalibrationError, match="argument"):
        measure(nn.Linear(3, 3), {"pixels": torch.randn(2, 3)})
    with pytest.raises(CalibrationError, match="pass a batch"):
        measure(nn.Identity())
