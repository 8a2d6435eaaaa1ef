"""Networks with weights that repeat, and what they compute with and without merging."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ghn_init.merging import Merged, whole


def repeated(size: int, period: int, dimension: int, x: Tensor) -> Tensor:
    """`x` of `period` numbers along a dimension, repeated up to `size`."""
    return x.index_select(dimension, torch.arange(size) % period)


def repeating(network: nn.Module, period: int) -> tuple[dict[str, Tensor], dict[str, tuple[int, int]]]:
    """Random float64 weights that repeat after `period` along both dimensions, but for the rows of the last layer."""
    generator = torch.Generator().manual_seed(0)
    values, periods = {}, {}
    names = [name for name, p in network.named_parameters()]
    last = names[-1].rsplit(".", 1)[0]
    for name, parameter in network.named_parameters():
        value = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        value *= 0.3 if value.dim() < 2 else value[0].numel() ** -0.5
        if value.dim() < 2 and name.endswith("weight"):
            value += 1
        rows = len(value) if name.startswith(last) else min(period, len(value))
        columns = min(period, value.shape[1]) if value.dim() > 1 else 1
        value = repeated(len(value), rows, 0, value)
        values[name] = repeated(value.shape[1], columns, 1, value) if value.dim() > 1 else value
        periods[name] = rows, columns
    return values, periods


def outcome(
    network: nn.Module, values: dict[str, Tensor], x: Tensor, periods: dict[str, tuple[int, int]] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The network's output, and the gradients of a number made of it; merged if `periods` are given."""
    leaves = {name: value.clone().requires_grad_() for name, value in values.items()}
    known = None if periods is None else Merged((leaves[name], found) for name, found in periods.items())
    with known or contextlib.nullcontext():
        y = functional_call(network, leaves, (x,))
    y = whole(y)
    loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return y.detach(), dict(zip(leaves, gradients, strict=True))
