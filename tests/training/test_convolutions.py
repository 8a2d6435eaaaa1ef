import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ghn_init.training.convolutions import fast_convolutions
from ghn_init.training.depthwise import Dilated

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=120)
@given(
    groups=st.sampled_from([1, 2, 4]),
    size=st.sampled_from([(9, 7), (1, 1), (1, 3)]),
    kernel=st.one_of(st.just((1, 1)), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    stride=st.sampled_from([1, 2, (1, 2)]),
    dilation=st.one_of(st.integers(1, 3), pairs),
    same=st.booleans(),
    bias=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_any_convolution_has_its_own_gradients(groups, size, kernel, stride, dilation, same, bias, layout):
    gaps = dilation if isinstance(dilation, tuple) else (dilation, dilation)
    padding = tuple(gap * (side // 2) for gap, side in zip(gaps, kernel, strict=True)) if same else (12, 12)
    images = torch.randn(2, 4, *size).contiguous(memory_format=layout)
    values = [images, torch.randn(4, 4 // groups, *kernel), torch.randn(4)]
    values = [value.double().requires_grad_() for value in values[: 2 + bias]]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected = F.conv2d(*values, **options)
    with fast_convolutions():
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
    output = Dilated.apply(x, weight, (2, 2))
    output.sum().backward()
    assert (x.grad is not None, weight.grad is not None) == needed


def test_dilated_depthwise_layers_are_replaced(monkeypatch):
    calls = []
    apply = Dilated.apply
    monkeypatch.setattr(Dilated, "apply", lambda *args: calls.append(args[2]) or apply(*args))
    x = torch.randn(2, 8, 9, 9)
    layers = [
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding="same", dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(8, 16, 3, padding=2, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
    ]
    with fast_convolutions():
        for layer in layers:
            layer(x)
    assert calls == [(2, 2), (2, 2)]
