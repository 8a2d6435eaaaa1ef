"""What a prediction did, and what it left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ghn_init.calibration.report import CalibrationReport
from ghn_init.options import BLEND, Blend
from ghn_init.rendering import Rendered, inert, line

if TYPE_CHECKING:
    from ghn_init.explain.score import Familiarity

_SHOWN = 12


@dataclasses.dataclass
class Report(Rendered):
    """What was predicted for a module, what was left alone and why, and what it took.

    Attributes:
        model: class of the module.
        checkpoint: name of the GHN.
        traced: how the module was traced, "symbolic" or "shapes".
        nodes: number of nodes of its graph by type.
        predicted: number of elements of each predicted parameter.
        left_alone: for each parameter that keeps its present values, its number of elements and the reason.
        tied: further names of parameters that have several, each with the name under which it is listed.
        not_understood: layers with parameters that no rule covers, with the number of their occurrences.
        noise: standard deviation of the noise that is added to the predictions.
        seed: its seed, and that of the random numbers.
        blend: share of random numbers in the predicted weights that was asked for, for all or by pattern.
        random_shares: that in each of these weights.
        floor: share of He's deviation below which random numbers take the place of a predicted out channel.
        ceiling: share of He's deviation down to which weights are scaled that only batch norm reads.
        replaced: of weights that have been written, the share of the out channels that were so replaced.
        seconds: time of each stage, in order.
        calibration: what a calibration changed after writing; None where there was none.
        familiarity: how far the network is from those that the GHN was trained on; None where the checkpoint has no
            statistics of these.
    """

    model: str
    checkpoint: str
    traced: str
    nodes: dict[str, int]
    predicted: dict[str, int]
    left_alone: dict[str, tuple[int, str]]
    tied: dict[str, str]
    not_understood: dict[str, int]
    noise: float
    seed: int
    blend: Blend | None = None
    random_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    floor: float = 0.0
    ceiling: float = 0.0
    replaced: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    calibration: CalibrationReport | None = None
    familiarity: Familiarity | None = None

    @property
    def n_predicted(self) -> int:
        """Number of predicted elements."""
        return sum(self.predicted.values())

    @property
    def n_left_alone(self) -> int:
        """Number of elements of the parameters that keep their values."""
        return sum(count for count, _ in self.left_alone.values())

    @property
    def share(self) -> float:
        """Predicted elements as a share of all, 1 for a module without parameters."""
        return self.share_of(lambda _: True)

    def share_of(self, counts: Callable[[str], bool]) -> float:
        """Predicted elements as a share of those of some parameters, 1 if there are none."""
        predicted = sum(count for name, count in self.predicted.items() if counts(name))
        left_alone = sum(count for name, (count, _) in self.left_alone.items() if counts(name))
        return predicted / (predicted + left_alone) if predicted or left_alone else 1.0

    def reasons(self) -> dict[str, list[str]]:
        """The parameters left alone, by reason."""
        by_reason: dict[str, list[str]] = {}
        for name, (_, reason) in self.left_alone.items():
            by_reason.setdefault(reason, []).append(name)
        return by_reason

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types, sums included."""
        data = dataclasses.asdict(self)
        data["left_alone"] = {
            name: {"elements": count, "reason": reason} for name, (count, reason) in self.left_alone.items()
        }
        data["familiarity"] = None if self.familiarity is None else self.familiarity.to_dict()
        data["n_predicted"], data["n_left_alone"], data["share"] = self.n_predicted, self.n_left_alone, self.share
        return data

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield line(
            (self.model, "bold"),
            " from checkpoint ",
            (self.checkpoint, "bold"),
            f": predicted {len(self.predicted)} tensors, {self.n_predicted:,} parameters ({self.share:.2%})",
        )
        types = ", ".join(f"{count} {node_type}" for node_type, count in self.nodes.items())
        yield line(f"graph ({self.traced} trace): {sum(self.nodes.values())} nodes ({types})")
        if self.tied:
            yield line("tied: ", ", ".join(f"{name} is {target}" for name, target in self.tied.items()))
        if self.left_alone:
            table = Table("left alone", "tensors", "parameters", "such as", title_justify="left")
            table.columns[-1].overflow = "fold"
            for reason, names in self.reasons().items():
                count = sum(self.left_alone[name][0] for name in names)
                table.add_row(inert(reason), str(len(names)), f"{count:,}", inert(names[0]))
            yield table
        if self.not_understood:
            shown = list(self.not_understood.items())[:_SHOWN]
            yield line("layers without a rule: ", ", ".join(f"{name} ({count})" for name, count in shown))
        later = [name for name, share in self.random_shares.items() if share == 1]
        if later and self.blend is None:
            yield line(
                f"drawn at random, since the classifier head is not predicted: {len(later)} of "
                f"{len(self.random_shares)} weights, from {later[0]} on (blend={BLEND:g} predicts them)"
            )
        if self.replaced:
            count = sum(round(share * self.predicted[name]) for name, share in self.replaced.items())
            yield line(
                f"of these drawn at random, for being below {self.floor:g} of He's deviation: {count:,} parameters in "
                f"{len(self.replaced)} tensors, such as {next(iter(self.replaced))}"
            )
        if self.familiarity is not None:
            yield line("familiarity: ", (self.familiarity, "bold yellow" if self.familiarity.far else ""))
        if self.calibration is not None:
            yield self.calibration
        if self.seconds:
            yield "time: " + ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in self.seconds.items())
