"""How well properties are predicted for networks that were not learnt from."""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ghn_init.properties.errors import PropertyError
from ghn_init.properties.regression import fit
from ghn_init.rendering import Rendered, inert, line, plain_table

#: The features that tell networks not apart.
MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class FeatureScores:
    """What some features are worth, over the repeats of a cross-validation.

    Attributes:
        features: what they are called; "mean" for a prediction of the mean of those learnt from.
        r2: mean over repeats of the coefficient of determination of all networks' predictions; at most 1, 0 for the
            mean of all values.
        spearman: likewise the rank correlation; None for constant predictions.
        kendall: likewise Kendall's tau-b.
        r2_std: standard deviation over repeats, 0 for a single one; likewise the others.
    """

    features: str
    r2: float
    spearman: float | None
    kendall: float | None
    r2_std: float
    spearman_std: float
    kendall_std: float


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation(Rendered):
    """A repeated cross-validation; it prints as a table.

    Attributes:
        target: what was predicted.
        networks: how many.
        folds: parts, of which each is predicted from the others.
        repeats: random divisions into such parts.
        scores: of each set of features, in the order in which they were given.
        values: float64, (networks,): what was measured.
        predictions: float64, (repeats, networks), by features: what was predicted of each network from others.
    """

    target: str
    networks: int
    folds: int
    repeats: int
    scores: tuple[FeatureScores, ...]
    values: Tensor
    predictions: Mapping[str, Tensor]

    def __getitem__(self, features: str) -> FeatureScores:
        """The scores of some features."""
        for row in self.scores:
            if row.features == features:
                return row
        raise KeyError(features)

    def to_dict(self) -> dict[str, Any]:
        """All but the single predictions, as JSON types."""
        return {
            "target": self.target,
            "networks": self.networks,
            "folds": self.folds,
            "repeats": self.repeats,
            "scores": [dataclasses.asdict(row) for row in self.scores],
        }

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield line((self.target, "bold"), f" of {self.networks} networks, {self.repeats} x {self.folds}-fold")
        table = plain_table("features", "R2", "Spearman", "Kendall", right=("R2", "Spearman", "Kendall"))
        for row in self.scores:
            table.add_row(
                inert(row.features),
                _shown(row.r2, row.r2_std),
                _shown(row.spearman, row.spearman_std),
                _shown(row.kendall, row.kendall_std),
            )
        yield table


def cross_validate(
    features: Mapping[str, Tensor],
    values: Tensor,
    *,
    target: str = "value",
    folds: int = 5,
    repeats: int = 10,
    regressor: str = "auto",
    seed: int = 0,
) -> CrossValidation:
    """Predicts each network's value from networks of other folds, with each set of features and with none.

    All sets of features see the same folds. Hyperparameters are chosen anew within each, from its training part alone.

    Args:
        features: by what to call them, (n, any number) each.
        values: (n,).
        target: what the values are.
        folds: parts.
        repeats: random divisions into parts.
        regressor: see `ghn_init.properties.regression.fit`.
        seed: of the divisions.

    Raises:
        PropertyError: as for `fit`, also where the other folds of one are too few; or fewer than 2 folds.
    """
    if folds < 2 or repeats < 1 or folds > len(values):
        raise PropertyError(f"{repeats} x {folds} folds of {len(values)} networks: at least 1 x 2, at most one each")
    if MEAN in features:
        raise PropertyError(f"{MEAN!r} is the name of the prediction without features")
    values = values.detach().double().cpu()
    found = {name: torch.empty(repeats, len(values), dtype=torch.float64) for name in (*features, MEAN)}
    for repeat, rest, part in _divisions(len(values), folds, repeats, seed):
        found[MEAN][repeat, part] = values[rest].mean()
        for name, matrix in features.items():
            function, _ = fit(matrix[rest], values[rest], regressor, seed)
            found[name][repeat, part] = function(matrix[part])
    scores = tuple(_scores(name, values, predicted) for name, predicted in found.items())
    return CrossValidation(target, len(values), folds, repeats, scores, values, found)


def _divisions(n: int, folds: int, repeats: int, seed: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for repeat in range(repeats):
        parts = torch.randperm(n, generator=generator).tensor_split(folds)
        for index, part in enumerate(parts):
            yield repeat, torch.cat([other for place, other in enumerate(parts) if place != index]), part


def _scores(name: str, values: Tensor, predicted: Tensor) -> FeatureScores:
    from scipy.stats import kendalltau, spearmanr

    total = (values - values.mean()).square().sum()
    r2 = [float(1 - (values - row).square().sum() / total) for row in predicted]
    if name == MEAN:  # each fold's is a constant: an order of such is that of the folds
        return FeatureScores(name, statistics.fmean(r2), None, None, _std(r2), 0.0, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant predictions, which give nan
        spearman = [float(spearmanr(values, row).statistic) for row in predicted]
        kendall = [float(kendalltau(values, row).statistic) for row in predicted]
    return FeatureScores(
        name, statistics.fmean(r2), _mean(spearman), _mean(kendall), _std(r2), _std(spearman), _std(kendall)
    )


def _mean(numbers: list[float]) -> float | None:
    mean = statistics.fmean(numbers)
    return None if mean != mean else mean


def _std(numbers: list[float]) -> float:
    return statistics.stdev(numbers) if len(numbers) > 1 and all(number == number for number in numbers) else 0.0


def _shown(mean: float | None, std: float) -> str:
    return "" if mean is None else f"{mean:.2f} ± {std:.2f}"
