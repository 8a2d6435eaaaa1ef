"""Accuracies of several networks in a few numbers."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from ghn_init.rendering import Rendered

#: Bins of `Summary.histogram`, from 0 to 1.
BINS = 20


@dataclasses.dataclass(frozen=True)
class Summary(Rendered):
    """Accuracies of several networks.

    Attributes:
        accuracies: top-1, in [0, 1]; NaN for a network that has none (it did not fit into memory, say). These are
            counted by `failed` and left out of everything else.

    Raises:
        ValueError: there is no network.
    """

    accuracies: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.accuracies:
            raise ValueError("a summary needs one network at least")

    @functools.cached_property
    def measured(self) -> tuple[float, ...]:
        """The accuracies that there are."""
        return tuple(value for value in self.accuracies if not math.isnan(value))

    @property
    def failed(self) -> int:
        """Number of networks without an accuracy."""
        return len(self.accuracies) - len(self.measured)

    @property
    def mean(self) -> float:
        """The mean; NaN if no network has an accuracy."""
        return statistics.fmean(self.measured) if self.measured else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN for fewer than two networks."""
        return standard_error(self.measured)

    @property
    def best(self) -> float:
        """The largest; NaN if there is none."""
        return max(self.measured, default=math.nan)

    @property
    def worst(self) -> float:
        """The smallest; NaN if there is none."""
        return min(self.measured, default=math.nan)

    def histogram(self, bins: int = BINS) -> tuple[int, ...]:
        """How many accuracies lie in each of `bins` equal parts of [0, 1]; the last part includes 1."""
        return tuple(np.histogram(self.measured, bins, (0, 1))[0].tolist())

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types, None for NaN."""
        return {
            "mean": _or_none(self.mean),
            "standard_error": _or_none(self.standard_error),
            "best": _or_none(self.best),
            "worst": _or_none(self.worst),
            "networks": len(self.measured),
            "failed": self.failed,
            "histogram": list(self.histogram()),
            "accuracies": [_or_none(value) for value in self.accuracies],
        }

    def __rich_console__(self, console: Console, options: Any) -> Any:
        from ghn_init.evaluation.tables import short

        yield short(self)


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean of `values`, from their sample variance; NaN for fewer than two."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
