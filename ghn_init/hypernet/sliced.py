"""Linear maps by slices of one weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

#: What is cut from the leading dimensions of a weight.
Cut = tuple[slice, ...]


class _SlicedLinear(torch.autograd.Function):
    """The slices' gradients are added up in place: each by itself would be padded with zeros to the whole weight."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, cuts: Sequence[Cut], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(weight, bias, *inputs)
        ctx.cuts = cuts
        return tuple(F.linear(x, *_cut(weight, bias, cut)) for x, cut in zip(inputs, cuts, strict=True))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, *inputs = ctx.saved_tensors
        by_weight, by_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        by_inputs: list[Tensor | None] = []
        for index, (x, cut, gradient) in enumerate(zip(inputs, ctx.cuts, gradients, strict=True)):
            local, offset = weight[cut], bias[cut]
            by_weight[cut] += (gradient.t() @ x).view(local.shape)
            by_bias[cut] += gradient.sum(0).view(offset.shape)
            by_inputs.append(gradient @ local.reshape(-1, x.shape[1]) if ctx.needs_input_grad[3 + index] else None)
        return by_weight, by_bias, None, *by_inputs


def sliced_linear(weight: Tensor, bias: Tensor, cuts: Sequence[Cut], inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Applies slices of one linear map.

    Args:
        weight: (..., features), the leading dimensions being those that are cut.
        bias: (...).
        cuts: for each input what to cut from `weight` and `bias`.
        inputs: (rows, features) each.

    Returns:
        For each input (rows, what its slice comes to).
    """
    if torch.is_grad_enabled():
        outputs: tuple[Tensor, ...] = _SlicedLinear.apply(weight, bias, cuts, *inputs)
        return outputs
    return tuple(F.linear(x, *_cut(weight, bias, cut)) for x, cut in zip(inputs, cuts, strict=True))


def _cut(weight: Tensor, bias: Tensor, cut: Cut) -> tuple[Tensor, Tensor]:
    return weight[cut].reshape(-1, weight.shape[-1]), bias[cut].reshape(-1)
