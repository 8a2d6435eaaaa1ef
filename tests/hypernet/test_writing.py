from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.hypernet.noise import POOL, Noise, NoisePool
from ghn_init.hypernet.tiling import tiled
from ghn_init.hypernet.writing import write

sizes = st.integers(1, 9)


class Given:
    """Noise that the test has chosen, a few numbers at a time."""

    def __init__(self, numbers: torch.Tensor, longest: int = 50) -> None:
        self.numbers, self.longest = numbers, longest

    def __call__(self, first: int, shape: tuple[int, ...], count: int) -> torch.Tensor:
        assert count <= max(self.longest, math.prod(shape[1:]))
        return self.numbers[first : first + count].view(shape)


@given(sizes, sizes, st.integers(0, 20), st.integers(0, 20), st.integers(1, 3), st.integers(1, 9), st.booleans())
def test_pieces_make_up_the_tiled_block(out, inner, more_out, more_in, side, step, noisy):
    block = torch.randn(out, inner, side, side)
    shape = (out + more_out, inner + more_in, side, side)
    noise = torch.randn(math.prod(shape))
    destination = torch.full(shape, math.nan)
    for first in range(0, out, step):
        write(destination, block[first : first + step], first, out, Given(noise) if noisy else None)
    expected = tiled(block, shape)
    assert torch.equal(destination, expected + noise.view(shape) if noisy else expected)


@given(sizes, st.integers(0, 30))
def test_vectors(have, more):
    block = torch.randn(have)
    destination = torch.full((have + more,), math.nan)
    write(destination, block, 0, have)
    assert torch.equal(destination, tiled(block, destination.shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("noisy", [False, True])
def test_any_dtype_and_any_strides(dtype, noisy):
    block = torch.randn(6, 4, 3, 3)
    shape = (20, 10, 3, 3)
    noise = torch.randn(math.prod(shape))
    expected = (tiled(block, shape) + (noise.view(shape) if noisy else 0)).to(dtype)
    places = [
        torch.zeros(shape, dtype=dtype),
        torch.zeros(shape, dtype=dtype).contiguous(memory_format=torch.channels_last),
        torch.zeros(3, 3, 10, 20, dtype=dtype).permute(3, 2, 0, 1),
        torch.zeros(40, 30, 3, 6, dtype=dtype)[::2, 10:20, :, ::2],
    ]
    for place in places:
        write(place, block, 0, 6, Given(noise) if noisy else None)
        assert torch.equal(place, expected)


def test_rows_longer_than_the_pool():
    pool = NoisePool(1.0, 0)
    block = torch.zeros(2, 7)
    place = torch.zeros(3, 3 * POOL + 5)
    write(place, block, 0, 2, Noise(pool, "x", 0, torch.device("cpu")))
    assert 0.99 < place.std() < 1.01
    assert torch.equal(place[0, :POOL], place[0, POOL : 2 * POOL])
    assert not torch.equal(place[0], place[1])


class TestNoisePool:
    cpu = torch.device("cpu")

    def test_is_normal(self):
        numbers = NoisePool(0.5, 0).stretch("x", 0, POOL, self.cpu)
        assert abs(numbers.mean()) < 0.01
        assert numbers.std() == pytest.approx(0.5, rel=0.01)
        assert (numbers.abs() < 0.5).float().mean() == pytest.approx(0.6827, abs=0.01)

    def test_copies_save_copying_only(self):
        few, many = NoisePool(1.0, 3), NoisePool(1.0, 3, copies=5)
        for first, count in ((0, 10), (POOL - 5, 10), (77, 3 * POOL)):
            assert torch.equal(*(pool.stretch("a", first, count, self.cpu) for pool in (few, many)))

    def test_depends_on_seed_name_and_place_only(self):
        first = NoisePool(1.0, 3).stretch("a", 100, 50, self.cpu)
        assert torch.equal(first, NoisePool(1.0, 3).stretch("a", 0, 150, self.cpu)[100:])
        assert not torch.equal(first, NoisePool(1.0, 4).stretch("a", 100, 50, self.cpu))
        assert not torch.equal(first, NoisePool(1.0, 3).stretch("b", 100, 50, self.cpu))
