"""Regression on a few features: scikit-learn's, with hyperparameters chosen by cross-validation."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ghn_init.properties.errors import PropertyError
from ghn_init.properties.function import KernelFunction


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of regression.

    Attributes:
        module: scikit-learn's module, without "sklearn".
        name: its class.
        options: arguments of the class.
        grid: the hyperparameters to choose from. Values are scaled to unit variance, as features are.
        parts: support, weights and bias of a fitted one; see `KernelFunction`.
    """

    module: str
    name: str
    options: Mapping[str, Any]
    grid: Mapping[str, Sequence[float]]
    parts: Callable[[Any], tuple[Any, Any, Any]]


_GAMMAS = (1e-3, 5e-3, 2e-2)
#: The kinds by name. Support vectors of radial basis functions are GHN-2's authors' choice.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "ridge": Kind(
            "linear_model",
            "Ridge",
            {},
            {"alpha": (0.1, 1, 10, 30, 100, 300)},
            lambda model: (model.coef_.reshape(1, -1), [1.0], model.intercept_),
        ),
        "svr": Kind(
            "svm",
            "SVR",
            {"kernel": "rbf", "epsilon": 0.1},
            {"C": (1, 5, 25), "gamma": _GAMMAS},
            lambda model: (model.support_vectors_, model.dual_coef_[0], model.intercept_[0]),
        ),
        "kernel_ridge": Kind(
            "kernel_ridge",
            "KernelRidge",
            {"kernel": "rbf"},
            {"alpha": (0.03, 0.2, 1), "gamma": _GAMMAS},
            lambda model: (model.X_fit_, model.dual_coef_, 0.0),
        ),
    }
)
REGRESSORS: tuple[str, ...] = (*KINDS, "auto")
#: Folds by which hyperparameters are chosen.
INNER_FOLDS = 5


def fit(x: Tensor, y: Tensor, regressor: str = "auto", seed: int = 0) -> tuple[KernelFunction, str]:
    """Fits a regression.

    Features and values are scaled to zero mean and unit variance. The hyperparameters, and with "auto" the kind of
    regression, are those with the least squared error in a 5-fold cross-validation on the given examples.

    Args:
        x: (n, features), finite.
        y: (n,), finite, not all the same.
        regressor: one of `REGRESSORS`.
        seed: of the folds.

    Returns:
        The function, and what was chosen, such as "ridge(alpha=10)".

    Raises:
        PropertyError: fewer than 10 examples, wrong shapes, an unknown regressor, or no scikit-learn.
    """
    _check(x, y, regressor)
    kinds = tuple(KINDS) if regressor == "auto" else (regressor,)
    features, values = (_sklearn("preprocessing", "StandardScaler")() for _ in range(2))
    inputs = features.fit_transform(x.double().numpy())
    targets = values.fit_transform(y.double().numpy()[:, None])[:, 0]
    searches = {kind: _searched(KINDS[kind], inputs, targets, seed) for kind in kinds}
    chosen = max(searches, key=lambda kind: searches[kind].best_score_)
    kind, best = KINDS[chosen], searches[chosen].best_params_
    support, weights, bias = kind.parts(searches[chosen].best_estimator_)
    function = KernelFunction(
        kernel="rbf" if "gamma" in best else "linear",
        gamma=float(best.get("gamma", 0.0)),
        centre=torch.as_tensor(features.mean_),
        spread=torch.as_tensor(features.scale_),
        support=torch.as_tensor(support).double(),
        weights=torch.as_tensor(weights).double(),
        bias=float(bias),
        offset=float(values.mean_[0]),
        scale=float(values.scale_[0]),
    )
    return function, f"{kind.name}({', '.join(f'{name}={value:g}' for name, value in sorted(best.items()))})"


def _check(x: Tensor, y: Tensor, regressor: str) -> None:
    if regressor not in REGRESSORS:
        raise PropertyError(f"no regressor {regressor!r}; known are {', '.join(REGRESSORS)}")
    if x.dim() != 2 or y.shape != x.shape[:1]:
        raise PropertyError(f"features {tuple(x.shape)} and values {tuple(y.shape)} do not fit: (n, features) and (n,)")
    if len(y) < 2 * INNER_FOLDS:
        raise PropertyError(f"{len(y)} networks are too few to learn from: give at least {2 * INNER_FOLDS}")
    if not (bool(x.isfinite().all()) and bool(y.isfinite().all())):
        raise PropertyError("a feature or a value is not finite: leave such networks out")
    if math.isclose(float(y.min()), float(y.max())):
        raise PropertyError("all values are the same: there is nothing to learn")


def _searched(kind: Kind, inputs: Any, targets: Any, seed: int) -> Any:
    model = _sklearn(kind.module, kind.name)(**kind.options)
    folds = _sklearn("model_selection", "KFold")(INNER_FOLDS, shuffle=True, random_state=seed)
    search = _sklearn("model_selection", "GridSearchCV")(
        model, dict(kind.grid), cv=folds, scoring="neg_mean_squared_error", error_score="raise"
    )
    # hundreds of tiny fits, for which the checks of their arguments take as long as the fits
    with importlib.import_module("sklearn").config_context(assume_finite=True, skip_parameter_validation=True):
        return search.fit(inputs, targets)


def _sklearn(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"sklearn.{module}"), name)
    except ImportError as error:
        raise PropertyError(
            f"learning properties needs scikit-learn ({error}): pip install 'ghn-init[train]'"
        ) from error
