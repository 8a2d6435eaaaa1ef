"""What a calibration did."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from ghn_init.rendering import Rendered, inert, line

#: Most rows of the table of layers that are shown.
_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Rescaled:
    """One weight.

    Attributes:
        name: the parameter.
        before: scale of its product with the data in the network as it was.
        after: the same after calibration.
        factor: what the weight was multiplied by.
        reason: why it was left as it is, empty if it was not.
    """

    name: str
    before: float
    after: float
    factor: float = 1.0
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class CalibrationReport(Rendered):
    """What `calibrate` did.

    Attributes:
        model: class of the module.
        data: the batch: random or given, and its shapes.
        target: the scale to reach.
        tolerance: relative distance from it that is left alone.
        ran: whether weights were to be changed; False if `only_if_needed` and the scales were healthy.
        runs: number of forward passes.
        weights: each weight that is multiplied with data, in order of execution.
    """

    model: str
    data: str
    target: float
    tolerance: float
    ran: bool
    runs: int
    weights: tuple[Rescaled, ...]

    @property
    def changed(self) -> dict[str, float]:
        """The factor of each weight that was changed."""
        return {weight.name: weight.factor for weight in self.weights if weight.factor != 1.0}

    @property
    def left_alone(self) -> dict[str, str]:
        """The reason for each weight that was not."""
        return {weight.name: weight.reason for weight in self.weights if weight.factor == 1.0}

    def range_before(self) -> tuple[float, float]:
        """Smallest and largest scale before; NaN without weights."""
        return _range([weight.before for weight in self.weights])

    def range_after(self) -> tuple[float, float]:
        """Smallest and largest scale after; NaN without weights."""
        return _range([weight.after for weight in self.weights])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return dataclasses.asdict(self)

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield line("calibration of ", (self.model, "bold"), f", {self.data}, {self.runs} runs: {self.summary()}")
        table = Table("weight", "scale before", "scale after", "factor", title_justify="left")
        table.columns[0].overflow = "fold"
        # those that changed most are those of interest
        shown = sorted(self.weights, key=lambda weight: -abs(math.log(weight.factor)))[:_SHOWN]
        chosen = {weight.name for weight in shown}
        for weight in self.weights:
            if weight.name in chosen:
                last = weight.reason or f"{weight.factor:.3g}"
                table.add_row(inert(weight.name), f"{weight.before:.3g}", f"{weight.after:.3g}", inert(last))
        if self.weights:
            yield table
        if len(self.weights) > _SHOWN:
            yield f"and {len(self.weights) - _SHOWN} more that changed less"

    def summary(self) -> str:
        """One line."""
        if not self.weights:
            return "no weight is multiplied with data"
        (low, high), (new_low, new_high) = self.range_before(), self.range_after()
        if not self.ran:
            return f"not needed, scales {low:.3g} to {high:.3g}"
        return (
            f"{len(self.changed)} of {len(self.weights)} weights rescaled, "
            f"scales {low:.3g} to {high:.3g} before, {new_low:.3g} to {new_high:.3g} after"
        )


def _range(values: list[float]) -> tuple[float, float]:
    if not values:
        return math.nan, math.nan
    return (math.nan, math.nan) if any(map(math.isnan, values)) else (min(values), max(values))
