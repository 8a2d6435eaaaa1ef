import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ghn_init.cpu import fast_on_cpu

CPU = torch.device("cpu")
BACKWARD = (torch.ops.aten.native_batch_norm_backward.default, torch.ops.aten.threshold_backward.default)


class Layouts(TorchDispatchMode):
    """Whether the gradients that norms and ReLUs get lie in memory as their inputs do."""

    def __init__(self):
        super().__init__()
        self.fast = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in BACKWARD:
            gradient, value = args[:2]
            self.fast.append(gradient.stride() == value.stride())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.ReLU()])
def test_gradients_of_concatenations_get_the_layout_of_their_inputs(layer, layout):
    values = [torch.randn(2, 4, 5, 5).contiguous(memory_format=layout).requires_grad_() for _ in range(2)]
    weights = torch.randn(2, 8, 5, 5).contiguous(memory_format=layout)

    def gradients(context):
        with Layouts() as seen:
            with context:
                joined = torch.cat([layer(value * 1) for value in values], dim=1)
            found = torch.autograd.grad((joined * weights).sum(), values)
        return seen.fast, found

    plain, expected = gradients(torch.enable_grad())
    fast, found = gradients(fast_on_cpu(CPU))
    assert plain == [False, False]
    assert fast == [True, True]
    torch.testing.assert_close(found, expected)


def test_without_gradients_the_result_is_torchs():
    images = torch.randn(2, 3, 4, 4)
    with fast_on_cpu(CPU):
        result = F.batch_norm(images, None, None, training=True)
    assert not result.requires_grad
    torch.testing.assert_close(result, F.batch_norm(images, None, None, training=True))


def test_norms_and_in_place_activations_work_together():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    images = torch.randn(2, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    results = []
    for context in (torch.enable_grad(), fast_on_cpu(CPU)):
        with context:
            output = network(images)
        results.append(torch.autograd.grad(output.square().sum(), list(network.parameters())))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
