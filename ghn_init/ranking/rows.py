"""What is found out about one network, and how large it may be."""

from __future__ import annotations

import dataclasses

from ghn_init.evaluation.failures import Status
from ghn_init.ranking.errors import RankingError

#: Of the intervals of accuracies.
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        name: the network's.
        score: what it is ranked by, the more the better: its accuracy, in [0, 1], or a proxy's value. None without one.
        low: of the accuracy's interval; None for proxies.
        high: likewise.
        parameters: number of its parameters; None if it could not be built.
        flops: multiply-adds for one image; None if they could not be counted.
        predicted: the share of the parameters that the GHN predicts; None for proxies.
        images: how many it was measured on.
        seconds: for building, predicting and measuring.
        status: "ok"; "not finite" if some logits are not (these images count as wrong), or the proxy's value is not;
            "over budget" if it is too large, and was not measured; the others say that it failed.
        message: what went wrong.
        digest: for a module in memory, what stands for its layers and values.
    """

    name: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    parameters: int | None = None
    flops: int | None = None
    predicted: float | None = None
    images: int = 0
    seconds: float = 0.0
    status: Status = "ok"
    message: str = ""
    digest: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.name, self.digest


@dataclasses.dataclass(frozen=True)
class Budget:
    """How large networks may be.

    Attributes:
        max_parameters: most parameters; None for no limit.
        max_flops: most multiply-adds for one image, likewise.

    Raises:
        RankingError: a limit below 1.
    """

    max_parameters: int | None = None
    max_flops: int | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            limit = getattr(self, field.name)
            if limit is not None and limit < 1:
                raise RankingError(f"{field.name}={limit} must be at least 1")

    def excess(self, parameters: int | None, flops: int | None) -> str:
        """What is too much about a network, of whose numbers some may be unknown; empty if nothing is."""
        for value, limit, what in (
            (parameters, self.max_parameters, "parameters"),
            (flops, self.max_flops, "multiply-adds"),
        ):
            if value is not None and limit is not None and value > limit:
                return f"{value:,} {what}, at most {limit:,}"
        return ""


def interval(right: int, images: int) -> tuple[float, float]:
    """The interval of an accuracy at a confidence of 95 %, that of Wilson (1927): the score test's.

    Args:
        right: images classified rightly.
        images: of how many, at least 1.
    """
    from scipy.stats import binomtest  # takes a while, which commands without accuracies need not

    found = binomtest(right, images).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)
