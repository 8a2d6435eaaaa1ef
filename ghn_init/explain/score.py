"""How far an architecture is from those that a GHN was trained on."""

from __future__ import annotations

import dataclasses
import weakref
from typing import Any

import numpy as np
from torch import Tensor

from ghn_init.explain.statistics import Array, Statistics
from ghn_init.explain.stored import from_dict
from ghn_init.graph import ArchGraph
from ghn_init.hypernet import GHN

_READ: weakref.WeakKeyDictionary[GHN, tuple[Any, Statistics]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """How far an architecture is from those that a GHN was trained on.

    Attributes:
        score: distance of its embedding (`ghn_init.embed`) and of its shares of node types from theirs, in standard
            deviations: see `ghn_init.explain.statistics.Statistics.score`.
        percentile: share of them that are nearer, from 0 to 100.
        threshold: the score above which predictions were measured to be poor; None if nobody has measured that.
    """

    score: float
    percentile: float
    threshold: float | None

    @property
    def far(self) -> bool:
        """Whether the score is above the threshold; False without one."""
        return self.threshold is not None and self.score > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {**dataclasses.asdict(self), "far": self.far}

    def __str__(self) -> str:
        """One line."""
        share = "farther than all" if self.percentile >= 100 else f"farther than {self.percentile:.0f} %"
        if self.threshold is None:
            verdict = "no threshold was calibrated"
        else:
            verdict = f"{'ABOVE' if self.far else 'below'} the threshold of {self.threshold:.2f}"
        return f"distance {self.score:.2f} from the architectures trained on, {share} of them; {verdict}"


def statistics_of(ghn: GHN) -> Statistics | None:
    """The statistics in the ``config.json`` that a GHN was read with, read once; None if it has none.

    Raises:
        CheckpointError: they are not what they must be.
    """
    data = None if ghn.info is None else ghn.info.familiarity
    if not data:
        return None
    known = _READ.get(ghn)
    if known is None or known[0] is not data:
        known = data, from_dict(data, ghn.config.hid, ghn.info.name if ghn.info else "")
        _READ[ghn] = known
    return known[1]


def familiarity(ghn: GHN, graph: ArchGraph, embedding: Tensor) -> Familiarity | None:
    """How far an architecture is from those that a GHN was trained on; None for a GHN without statistics.

    Args:
        ghn: the GHN.
        graph: the architecture, in the GHN's vocabulary.
        embedding: (hid,): the mean of the states of its nodes.

    Raises:
        CheckpointError: the checkpoint's statistics are not what they must be.
    """
    statistics = statistics_of(ghn)
    return None if statistics is None else judged(graph, embedding.double().cpu().numpy(), statistics)


def judged(graph: ArchGraph, embedding: Array, statistics: Statistics) -> Familiarity:
    """`familiarity` by such statistics."""
    score = statistics.score(embedding, graph.nodes)
    threshold = None if statistics.calibration is None else statistics.calibration.threshold
    return Familiarity(score, percentile(score, statistics.quantiles), threshold)


def percentile(value: float, quantiles: Array) -> float:
    """The share of a distribution, from 0 to 100, below a value, by the distribution's quantiles."""
    steps = len(quantiles) - 1
    above = int(np.searchsorted(quantiles, value))  # the first quantile that is not below it
    if above == 0 or above > steps:
        return 100.0 * (above > 0)
    below, width = quantiles[above - 1], quantiles[above] - quantiles[above - 1]
    return float(100 * (above - 1 + min(1.0, (value - below) / width)) / steps)
