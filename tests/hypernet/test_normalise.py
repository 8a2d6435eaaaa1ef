from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.hypernet.normalise import FACTOR, OFFSET, bounded, fan_in_scale

sides = st.integers(1, 9)


@given(st.integers(1, 300), st.integers(2, 300), sides)
def test_gives_weights_the_variance_of_kaiming_normal(out, inner, side):
    for shape in ((out, inner), (out, inner, side, side)):
        weight = torch.empty(shape, device="meta")
        fan_in, _ = torch.nn.init._calculate_fan_in_and_fan_out(weight)
        expected = torch.nn.init.calculate_gain("relu") / math.sqrt(fan_in)
        assert fan_in_scale(shape) == pytest.approx(expected)


@given(st.integers(1, 300), st.integers(1, 300), sides, sides)
def test_gain_is_smaller_where_no_relu_follows(out, inner, height, width):
    gain = fan_in_scale((out, inner, height, width)) * math.sqrt(inner * height * width)
    assert gain == pytest.approx(1 if inner == 1 or height < width else math.sqrt(2))


def test_depth_counts():
    assert fan_in_scale((8, 4, 3, 5, 5)) == pytest.approx(math.sqrt(2 / (4 * 3 * 5 * 5)))


def test_vectors_stay_in_range():
    raw = torch.linspace(-50, 50, 101)
    factors, offsets = bounded(raw, FACTOR), bounded(raw, OFFSET)
    assert [factors.min() >= 0, factors[50] == 1, factors.max() <= 2] == [True] * 3
    assert [offsets.min() >= -1, offsets[50] == 0, offsets.max() <= 1] == [True] * 3
    near = torch.tensor([-1.0, 0.5])
    torch.testing.assert_close(bounded(near, FACTOR), 2 / (1 + torch.exp(-near / 2)))
    torch.testing.assert_close(bounded(near, OFFSET), (1 - torch.exp(-0.4 * near)) / (1 + torch.exp(-0.4 * near)))
