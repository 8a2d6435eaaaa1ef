import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from ghn_init.deepnets import sample
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.hypernet.tiling import alike
from ghn_init.training.entries import make_entry
from ghn_init.training.network_step import network_step


def parameters(entry):
    torch.manual_seed(0)
    return {name: p.detach() for name, p in entry.architecture.build().named_parameters()}


def reference(entry, values, x, loss_of):
    """The loss and its gradients by plain autograd on a network of its own."""
    values = {name: p.clone().requires_grad_() for name, p in values.items()}
    loss = loss_of(functional_call(entry.architecture.build(), values, (x,)))
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in values.items()}


def assert_all_close(found, expected):
    assert list(found) == list(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("soft", [False, True])
def test_gradients_are_those_of_the_loss(pool, soft, smoothing):
    entry, values = pool[0], parameters(pool[0])
    x = torch.randn(4, 3, 16, 16)
    y = torch.rand(4, 10).softmax(dim=1) if soft else torch.arange(4)

    def by_hand(logits):
        wanted = y if soft else F.one_hot(y, 10)
        wanted = (1 - smoothing) * wanted + smoothing / 10
        return -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean()

    loss, gradients = reference(entry, values, x, by_hand)
    result = network_step(entry, values, x, y, clip=1e9, label_smoothing=smoothing)
    torch.testing.assert_close(result.loss, loss, rtol=1e-4, atol=0)
    assert result.finite
    assert_all_close(result.gradients, gradients)


def test_channels_that_are_equal_change_nothing_but_the_time():
    """Of the gradients by repeated weights the means over copies are the same, and all that the GHN's step adds up."""
    config = GHNConfig(max_shape=(16, 16, 3, 3), hid=16, layers=1, heads=2)
    ghn = GHN(config).eval()
    entry = make_entry(sample("train", 1).with_width(96), 32, config=config)
    assert entry.periods
    with torch.no_grad():
        values = ghn(entry.graph)
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    _, gradients = reference(entry, values, x, lambda logits: F.cross_entropy(logits, y))
    result = network_step(entry, values, x, y, clip=1e9)
    assert entry.periods, "it was not run with all channels"
    scale = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        expected = alike(gradient, entry.periods.get(name, gradient.shape[:2]))
        torch.testing.assert_close(result.gradients[name] / scale, expected / scale, rtol=1e-3, atol=1e-4)


def test_correct_is_the_share_of_right_answers(pool):
    entry, values, x = pool[1], parameters(pool[1]), torch.randn(8, 3, 16, 16)
    answers = functional_call(entry.architecture.build(), values, (x,)).argmax(dim=1)
    wrong = torch.cat([answers[:6], (answers[6:] + 1) % 10])
    for labels in (wrong, F.one_hot(wrong, 10).float()):
        assert network_step(entry, values, x, labels, clip=1.0).correct == 0.75


def test_the_ghn_behind_the_weights_is_left_alone(pool):
    source = {name: p.clone().requires_grad_() for name, p in parameters(pool[1]).items()}
    predicted = {name: 2 * p for name, p in source.items()}
    result = network_step(pool[1], predicted, torch.randn(4, 3, 16, 16), torch.arange(4), clip=1.0)
    assert all(p.grad is None for p in source.values())
    assert not any(gradient.requires_grad for gradient in result.gradients.values())
    torch.autograd.backward(list(predicted.values()), list(result.gradients.values()))
    assert_all_close({name: p.grad for name, p in source.items()}, {n: 2 * g for n, g in result.gradients.items()})


def test_gradients_are_clipped_together(pool):
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    result = network_step(pool[1], parameters(pool[1]), x, y, clip=1e-3)
    norm = torch.nn.utils.get_total_norm(result.gradients.values())
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("clip", [1e-3, 1e9])
def test_a_share_scales_what_is_left_after_clipping(pool, clip):
    x, y, values = torch.randn(4, 3, 16, 16), torch.arange(4), parameters(pool[1])
    whole, part = (network_step(pool[1], values, x, y, clip=clip, share=share).gradients for share in (1.0, 0.25))
    for name, gradient in whole.items():
        torch.testing.assert_close(part[name], gradient / 4)


def test_the_penalty_pulls_towards_smaller_weights(pool):
    x, y = torch.randn(4, 3, 16, 16), torch.arange(4)
    values = parameters(pool[1])
    plain, pulled = (network_step(pool[1], values, x, y, clip=1e9, penalty=p).gradients for p in (0.0, 0.1))
    name = "conv1.weight"
    expected = plain[name] + 0.1 / len(values) * values[name] / values[name].norm()
    torch.testing.assert_close(pulled[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e38])
def test_what_is_not_finite_gives_zeros(pool, value):
    values = {name: torch.full_like(tensor, value) for name, tensor in parameters(pool[1]).items()}
    result = network_step(pool[1], values, torch.randn(4, 3, 16, 16), torch.arange(4), clip=1.0)
    assert not result.finite
    assert list(result.gradients) == list(values)
    assert not any(gradient.any() for gradient in result.gradients.values())


def test_half_precision_is_close(pool):
    entry, values = pool[2], parameters(pool[2])
    x, y = torch.randn(32, 3, 16, 16), torch.arange(32) % 10
    exact, rough = (network_step(entry, values, x, y, clip=1e9, amp=amp) for amp in (None, torch.bfloat16))
    torch.testing.assert_close(rough.loss, exact.loss, rtol=0.02, atol=0)
    for tensor in (rough.loss, *rough.gradients.values()):
        assert tensor.dtype == torch.float32
    flat = [torch.cat([g.flatten() for g in step.gradients.values()]) for step in (exact, rough)]
    assert 0 < (flat[1] - flat[0]).norm() < 0.1 * flat[0].norm()


CUDA = pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA")])


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("amp", [None, torch.bfloat16])
def test_nothing_waits_for_the_device(pool, device, amp):
    """No number is read while a step is under way: on a device, that would wait for all that was started before."""
    values = {name: p.to(device) for name, p in parameters(pool[0]).items()}
    x, y = torch.randn(4, 3, 16, 16, device=device), torch.arange(4, device=device)

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
            return function(*args, **(kwargs or {}))

    with Watch():
        result = network_step(pool[0], values, x, y, clip=1.0, penalty=0.1, label_smoothing=0.1, amp=amp)
    assert {tensor.device.type for tensor in (result.loss, result.correct, result.finite)} == {device}
    assert result.finite
