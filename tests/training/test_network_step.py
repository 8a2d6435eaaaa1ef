import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from ghn_init.training.network_step import network_step
from ghn_init.training.optim import make_optimisers, make_schedules
from ghn_init.training.pool import build


def parameters(entry):
    torch.manual_seed(0)
    return {name: p.detach() for name, p in build(entry.architecture).named_parameters()}


def test_gradients_are_those_of_the_loss(pool):
    entry = pool[0]
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    values = {name: p.clone().requires_grad_() for name, p in parameters(entry).items()}
    loss = F.cross_entropy(functional_call(build(entry.architecture), values, (x,)), y)
    loss.backward()
    result = network_step(entry, values, x, y, clip=1e9)
    assert result.loss == pytest.approx(loss.item(), rel=1e-4)
    for name, gradient in result.gradients.items():
        torch.testing.assert_close(gradient, values[name].grad, rtol=1e-3, atol=1e-5)


def test_gradients_are_clipped_together(pool):
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    result = network_step(pool[1], parameters(pool[1]), x, y, clip=1e-3)
    norm = torch.nn.utils.get_total_norm(result.gradients.values())
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_the_penalty_pulls_towards_smaller_weights(pool):
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    values = parameters(pool[1])
    plain, pulled = (network_step(pool[1], values, x, y, clip=1e9, penalty=p).gradients for p in (0.0, 0.1))
    name = "conv1.weight"
    expected = plain[name] + 0.1 / len(values) * values[name] / values[name].norm()
    torch.testing.assert_close(pulled[name], expected, rtol=1e-4, atol=1e-6)


def test_what_is_not_finite_gives_no_gradients(pool):
    values = {name: value * float("inf") for name, value in parameters(pool[1]).items()}
    assert network_step(pool[1], values, torch.randn(4, 3, 16, 16), torch.arange(4), clip=1.0).gradients is None


def test_every_parameter_has_one_optimiser(make_ghn, config):
    import dataclasses

    ghn = make_ghn()
    for matrix_lr in (None, 1e-3):
        optimisers = make_optimisers(ghn, dataclasses.replace(config, matrix_lr=matrix_lr))
        held = [id(p) for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for p in ghn.parameters())


def test_warm_up_then_cosine(make_ghn, config):
    optimisers = make_optimisers(make_ghn(), config)
    schedule = make_schedules(optimisers, config)[0]
    rates = []
    for _ in range(config.steps + 1):
        rates.append(schedule.get_last_lr()[0] / config.lr)
        optimisers[0].step()
        schedule.step()
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[4] == pytest.approx(0.51)
    assert rates[-1] == pytest.approx(config.final_lr)
