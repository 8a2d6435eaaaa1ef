"""A fitted regression as plain numbers, which need no library to be used and no code to be read."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import torch
from torch import Tensor

from ghn_init.properties.errors import PropertyError

Kernel = Literal["linear", "rbf"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


@dataclasses.dataclass(frozen=True, eq=False)
class KernelFunction:
    """y(x) = offset + scale · (bias + Σ weightsᵢ k(supportᵢ, (x − centre) / spread)).

    k is the inner product ("linear") or exp(−gamma · squared distance) ("rbf"). Ridge regression is the first with one
    support, its coefficients; support vectors and kernel ridge regression are either.

    Attributes:
        kernel: which k.
        gamma: of "rbf"; 0 for "linear".
        centre: float64, (features,).
        spread: float64, (features,), positive.
        support: float64, (m, features).
        weights: float64, (m,).
        bias: a number, before `scale`.
        offset: a number, the mean of the values that it was fitted to.
        scale: a number, their standard deviation.
    """

    kernel: Kernel
    gamma: float
    centre: Tensor
    spread: Tensor
    support: Tensor
    weights: Tensor
    bias: float
    offset: float
    scale: float

    def __post_init__(self) -> None:
        features = len(self.centre)
        shapes = {"spread": (features,), "support": (len(self.weights), features), "weights": (len(self.weights),)}
        for name, shape in shapes.items():
            tensor = getattr(self, name)
            if tuple(tensor.shape) != shape:
                raise PropertyError(f"{name} has shape {tuple(tensor.shape)}, not {shape}")
        numbers = [self.gamma, self.bias, self.offset, self.scale]
        tensors = [self.centre, self.spread, self.support, self.weights, torch.tensor(numbers)]
        if self.kernel not in KERNELS or not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise PropertyError(f"kernel {self.kernel!r} with numbers that are not finite, or no kernel of {KERNELS}")
        if not bool((self.spread > 0).all()):
            raise PropertyError("spread must be positive")

    def __call__(self, x: Tensor) -> Tensor:
        """Values for features (n, features): float64, (n,)."""
        scaled = (x.double() - self.centre) / self.spread
        if self.kernel == "linear":
            similarity = scaled @ self.support.t()
        else:
            similarity = torch.exp(-self.gamma * torch.cdist(scaled, self.support).square())
        return self.offset + self.scale * (similarity @ self.weights + self.bias)
