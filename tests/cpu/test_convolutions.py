import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ghn_init.cpu import fast_on_cpu
from ghn_init.cpu.depthwise import Depthwise

CPU = torch.device("cpu")
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=200)
@given(
    groups=st.sampled_from([1, 2, 4]),
    size=st.sampled_from([(9, 7), (8, 10), (1, 1), (1, 3)]),
    kernel=st.one_of(st.just((1, 1)), st.tuples(st.integers(1, 7), st.integers(1, 7))),
    stride=st.sampled_from([1, 2, (1, 2)]),
    dilation=st.one_of(st.integers(1, 3), pairs),
    same=st.booleans(),
    bias=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_any_convolution_has_its_own_gradients(groups, size, kernel, stride, dilation, same, bias, layout):
    gaps = dilation if isinstance(dilation, tuple) else (dilation, dilation)
    padding = tuple(gap * (side // 2) for gap, side in zip(gaps, kernel, strict=True)) if same else (18, 18)
    images = torch.randn(2, 4, *size).contiguous(memory_format=layout)
    values = [images, torch.randn(4, 4 // groups, *kernel), torch.randn(4)]
    values = [value.double().requires_grad_() for value in values[: 2 + bias]]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = F.conv2d(*values, **options)
    with fast_on_cpu(CPU):
        found = F.conv2d(*values, **options)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    gradients = (torch.autograd.grad((output * weights).sum(), values) for output in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_only_the_gradients_that_are_asked_for(needed):
    x, weight = (
        t.requires_grad_(n) for t, n in zip((torch.randn(2, 3, 6, 6), torch.randn(3, 1, 3, 3)), needed, strict=True)
    )
    output = Depthwise.apply(x, weight, (1, 1), (2, 2), (2, 2))
    output.sum().backward()
    assert (x.grad is not None, weight.grad is not None) == needed


def convolutions_of(layer, x):
    """Kernels and steps of the convolutions, forward and backward, that PyTorch is asked for; None for a product."""
    asked = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.convolution.default:
                asked.append(("forward", tuple(args[1].shape[2:]), *(tuple(args[place]) for place in (3, 5))))
            elif func is torch.ops.aten.convolution_backward.default:
                asked.append(("backward", tuple(args[2].shape[2:]), *(tuple(args[place]) for place in (4, 6))))
            return func(*args, **(kwargs or {}))

    with fast_on_cpu(CPU):
        output = layer(x)
    with Watch(), fast_on_cpu(CPU):
        layer(x).backward(torch.ones_like(output))
    return asked


def conv(*sizes, **options):
    return nn.Conv2d(8, 8, *sizes, bias=False, **{"groups": 8} | options)


def test_what_pytorch_is_slow_at_is_not_asked_of_it():
    x = torch.randn(2, 8, 10, 10).contiguous(memory_format=torch.channels_last).requires_grad_()
    one, two = (1, 1), (2, 2)
    forward, backward = ("forward", (3, 3)), ("backward", (3, 3))
    # dilated: no gradient of a dilated kernel
    for padding in (2, "same"):
        assert convolutions_of(conv(3, padding=padding, dilation=2), x) == [
            (*forward, one, two),
            (*forward, one, two),
            (*backward, one, one),
        ]
    # stride and dilation alike: both gone
    assert convolutions_of(conv(3, padding=2, dilation=2, stride=2), x) == [
        (*forward, one, one),
        (*backward, one, one),
        (*backward, one, one),
    ]
    # wide kernels: their gradient in strips
    assert convolutions_of(conv(5, padding=2), x) == [
        ("forward", (5, 5), one, one),
        ("backward", (5, 5), one, one),
        ("backward", (5, 3), one, one),
        ("backward", (5, 2), one, one),
    ]
    # 1x1: products
    for stride in (1, 2):
        assert convolutions_of(conv(1, groups=1, stride=stride), x) == []
    # anything else as it is
    for options in ({"groups": 1}, {"groups": 4}):
        assert convolutions_of(conv(3, padding=2, dilation=2, **options), x) == [
            (*forward, one, two),
            (*backward, one, two),
        ]


@pytest.mark.parametrize(("padding", "stride"), [("same", 2), ("neither", 1)])
def test_paddings_that_torch_refuses_are_refused(padding, stride):
    x, weight = torch.ones(1, 4, 8, 8), torch.ones(4, 1, 3, 3)
    with pytest.raises((RuntimeError, ValueError)), fast_on_cpu(CPU):
        F.conv2d(x, weight, padding=padding, stride=stride, groups=4)
