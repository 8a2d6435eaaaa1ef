from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.hypernet.sliced import sliced_linear

ranges = st.tuples(st.integers(0, 4), st.integers(1, 5)).map(lambda pair: slice(pair[0], pair[0] + pair[1]))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(ranges, ranges, st.integers(1, 4)), min_size=1, max_size=5), st.booleans())
def test_slices_of_a_linear_map(pieces, permuted):
    weight, bias = torch.randn(5, 5, 3, dtype=torch.float64), torch.randn(5, 5, dtype=torch.float64)
    if permuted:
        weight, bias = weight.transpose(0, 1), bias.t()
    inputs = [torch.randn(rows, 3, dtype=torch.float64) for _, _, rows in pieces]
    leaves = [leaf.requires_grad_() for leaf in (weight, bias, *inputs)]
    cuts = [(rows, columns) for rows, columns, _ in pieces]
    expected = [
        F.linear(x, weight[cut].flatten(0, 1), bias[cut].flatten()) for x, cut in zip(inputs, cuts, strict=True)
    ]
    found = sliced_linear(weight, bias, cuts, inputs)
    with torch.no_grad():
        plain = sliced_linear(weight, bias, cuts, inputs)
    for outputs in (found, plain):
        for one, other in zip(outputs, expected, strict=True):
            torch.testing.assert_close(one, other)
    weights = [torch.randn_like(output) for output in expected]
    gradients = (
        torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, outputs, strict=True)), leaves)
        for outputs in (found, expected)
    )
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_an_output_without_a_gradient():
    weight, bias, x = torch.randn(4, 2, requires_grad=True), torch.randn(4, requires_grad=True), torch.randn(3, 2)
    first, _ = sliced_linear(weight, bias, [(slice(1, 3),), (slice(4),)], [x, x])
    first.sum().backward()
    assert not weight.grad[[0, 3]].any()
    torch.testing.assert_close(weight.grad[1], x.sum(0))
