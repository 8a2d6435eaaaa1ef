import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ghn_init.cpu import fast_on_cpu
from ghn_init.deepnets import sample

CPU = torch.device("cpu")


class Count(TorchDispatchMode):
    """How often ReLUs are computed."""

    def __init__(self):
        super().__init__()
        self.relus = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.relus += func is torch.ops.aten.relu.default
        return func(*args, **(kwargs or {}))


def test_the_same_tensor_is_gone_through_once():
    x = torch.randn(4, requires_grad=True)
    with Count() as count, fast_on_cpu(CPU):
        first, second = F.relu(x), nn.ReLU()(x)
        F.relu(x + 1)
    assert first is second
    assert count.relus == 2
    (gradient,) = torch.autograd.grad((first + 2 * second).sum(), x)
    torch.testing.assert_close(gradient, 3.0 * (x > 0))


def test_a_tensor_changed_in_place_is_another():
    x = torch.tensor([-1.0, 2.0], requires_grad=True) * 1
    with fast_on_cpu(CPU):
        first = F.relu(x)
        x.mul_(-3)
        second = F.relu(x)
    assert first.tolist() == [0, 2]
    assert second.tolist() == [3, 0]


def test_results_that_may_be_changed_in_place_are_not_shared():
    x = torch.tensor([-1.0, 2.0])
    with fast_on_cpu(CPU):
        F.relu(x).add_(1)
        assert F.relu(x).tolist() == [0, 2]
    grown = x.clone().requires_grad_()
    with fast_on_cpu(CPU):
        other = grown * 1
        F.relu(other, inplace=True)
        assert other.tolist() == [0, 2]
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            F.relu(grown).add_(1).sum().backward()


def test_inputs_do_not_live_longer():
    leaf = torch.randn(4, requires_grad=True)
    with fast_on_cpu(CPU):
        x = leaf * 1
        kept, alive = F.relu(x), weakref.ref(x)
        del x
        assert alive() is None
    assert kept.shape == (4,)


@pytest.mark.parametrize("index", range(4))
def test_networks_have_the_same_gradients_from_fewer_relus(index):
    network = sample("train", index).with_width(16).build(10, 16).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.double)
    results = []
    for context in (torch.enable_grad(), fast_on_cpu(CPU)):
        torch.manual_seed(0)
        with Count() as count, context:
            loss = network(images).square().sum()
        results.append((count.relus, torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)))
    (plain, expected), (shared, found) = results
    assert shared < plain
    torch.testing.assert_close(found, expected)
