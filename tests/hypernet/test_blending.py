"""Random numbers mixed into predictions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.hypernet.blending import blended, mixture


@given(st.floats(0, 1))
def test_the_mixture_keeps_the_size_and_the_shares_their_ratio(share):
    kept, random = mixture(share)
    assert math.hypot(kept, random) == pytest.approx(1)
    assert kept * share == pytest.approx(random * (1 - share))


@settings(deadline=None)
@given(st.floats(0.01, 1), st.integers(1, 5), st.integers(0, 10))
def test_every_row_keeps_its_root_mean_square(share, rows, seed):
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(rows, 40, 10, 10, generator=generator) * torch.rand(rows, 1, 1, 1, generator=generator)
    part, amplitude, replaced = blended(block, share, 0.0)
    assert replaced is None
    mixed = part + torch.randn(block.shape, generator=generator) * amplitude
    torch.testing.assert_close(mixed.square().mean((1, 2, 3)), block.square().mean((1, 2, 3)), rtol=0.15, atol=0)


def test_without_a_share_the_block_is_what_it_was():
    block = torch.randn(2, 3, 1, 1)
    assert blended(block, 0.0, 1e-5).part is block
    assert blended(block, 0.0, 1e-5, he=1.0, floor=10.0) == (block, None, None)


def test_noise_adds_to_the_random_numbers():
    mixed = blended(torch.zeros(2, 3, 1, 1), 0.5, 1e-2)
    torch.testing.assert_close(mixed.amplitude, torch.full((2, 1, 1, 1), 1e-2))


@settings(deadline=None)
@given(st.floats(0.01, 1), st.floats(0.05, 2), st.floats(0.1, 1), st.integers(0, 10))
def test_rows_below_the_floor_become_normal_numbers_and_others_stay_what_they_were(share, he, floor, seed):
    block = torch.randn(6, 40, 10, 10, generator=torch.Generator().manual_seed(seed))
    block *= he * floor * torch.tensor([0.0, 0.5, 0.9, 1.1, 2.0, 30.0]).view(-1, 1, 1, 1)
    mixed, plain = blended(block, share, 0.0, he=he, floor=floor), blended(block, share, 0.0)
    assert mixed.replaced.tolist() == [True, True, True, False, False, False]
    assert not mixed.part[:3].any()
    torch.testing.assert_close(mixed.amplitude[:3], torch.full((3, 1, 1, 1), he))
    assert torch.equal(mixed.part[3:], plain.part[3:])
    assert torch.equal(mixed.amplitude[3:], plain.amplitude[3:])
