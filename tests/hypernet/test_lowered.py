"""Weights of the size that optimisers are used to."""

import pytest
import torch

from ghn_init.hypernet.scale import lowered


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_only_what_is_larger_is_lowered(dtype):
    x = torch.randn(50, 40).to(dtype)
    small, large, nothing = 0.1 * x, 10 * x, torch.zeros(3, 3, dtype=dtype)
    before = small.clone()
    for tensor in (small, large, nothing):
        lowered(tensor, 0.5)
    assert torch.equal(small, before)
    assert not nothing.any()
    assert large.double().square().mean().sqrt() == pytest.approx(0.5, rel=0.01)
    torch.testing.assert_close(large / large.norm(), x / x.norm(), rtol=0.02, atol=1e-4)


def test_where_numbers_lie_changes_no_bit():
    x = torch.randn(64, 32, 3, 3)
    y = x.clone(memory_format=torch.channels_last)
    lowered(x, 0.1)
    lowered(y, 0.1)
    assert torch.equal(x, y)


def test_small_types():
    x = (4 * torch.randn(50, 40)).to(torch.float8_e4m3fn)
    lowered(x, 0.5)
    assert x.float().square().mean().sqrt() == pytest.approx(0.5, rel=0.05)
