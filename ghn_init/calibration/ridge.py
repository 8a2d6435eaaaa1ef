"""A linear classifier in closed form: ridge regression, chosen by leaving out one example at a time."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

#: Penalties to choose from, as shares of the largest squared singular value of the features.
PENALTIES = torch.logspace(-3, 1, 9, dtype=torch.float64)
#: Factors of the logits to choose from.
FACTORS = torch.logspace(-1, 1.5, 26, dtype=torch.float64)
_SMALL = 1e-9


@dataclasses.dataclass(frozen=True)
class Ridge:
    """A linear classifier.

    Attributes:
        weight: (classes, d).
        bias: (classes,); zeros without an intercept.
        penalty: the one chosen.
        factor: of the logits, chosen.
        loss: mean cross-entropy of the examples, each with the classifier made of the others.
        accuracy: likewise, in [0, 1].
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    factor: float
    loss: float
    accuracy: float


def ridge(features: Tensor, labels: Tensor, classes: int, *, intercept: bool = True) -> Ridge:
    """Ridge regression from features to one-hot labels, times a factor.

    Penalty and factor are those with the smallest cross-entropy when each example is left out, whose residual is
    (y - ŷ) / (1 - h) for the leverage h (Hastie, Tibshirani & Friedman, 2009, The elements of statistical learning,
    equation 7.64, for the fits of equation 3.47).

    Args:
        features: (n, d), finite.
        labels: int64, (n,), below `classes`.
        classes: how many.
        intercept: whether there is a bias; it is not penalised.

    Returns:
        The classifier: float64, on the device of the features.
    """
    x, y = features.double(), F.one_hot(labels, classes).double()
    x_mean, y_mean = (x.mean(0), y.mean(0)) if intercept else (x.new_zeros(x.shape[1]), y.new_zeros(classes))
    u, s, vt = torch.linalg.svd(x - x_mean, full_matrices=False)
    targets = u.t() @ (y - y_mean)
    best: Ridge | None = None
    for penalty in (PENALTIES.to(s) * s[0].square().clamp_min(_SMALL)).tolist():
        shrunk = s.square() / (s.square() + penalty)
        leverage = (u.square() @ shrunk + (1 / len(x) if intercept else 0.0)).clamp_max(1 - _SMALL)
        fitted = y_mean + u @ (shrunk[:, None] * targets)
        left_out = y - (y - fitted) / (1 - leverage)[:, None]
        losses = torch.stack([F.cross_entropy(factor * left_out, labels) for factor in FACTORS.to(s)])
        loss, index = losses.min(dim=0)
        if best is not None and float(loss) >= best.loss:
            continue
        factor = float(FACTORS[index])
        weight = vt.t() @ ((s / (s.square() + penalty))[:, None] * targets)
        best = Ridge(
            weight=factor * weight.t(),
            bias=factor * (y_mean - x_mean @ weight),
            penalty=penalty,
            factor=factor,
            loss=float(loss),
            accuracy=float((left_out.argmax(1) == labels).double().mean()),
        )
    assert best is not None
    return best
