"""A comparison as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ghn_init.comparison import texts
from ghn_init.rendering import inert

if TYPE_CHECKING:
    from ghn_init.comparison.result import ComparisonResult


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table as texts.

    Attributes:
        title: what it shows.
        columns: the heads.
        rows: the cells; the first `left` columns are names.
        caption: what else there is to say.
        left: how many columns are names.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    left: int = 1

    def __rich__(self) -> Table:
        caption = inert(self.caption, "table.caption") if self.caption else None
        table = Table(title=inert(self.title, "table.title"), caption=caption, box=SIMPLE_HEAD, pad_edge=False)
        table.title_justify = table.caption_justify = "left"
        for place, column in enumerate(self.columns):
            width = max(len(word) for word in column.split())
            table.add_column(column, justify="left" if place < self.left else "right", overflow="fold", min_width=width)
        for row in self.rows:
            table.add_row(*map(inert, row))
        return table


def tables(result: ComparisonResult) -> list[Sheet]:
    """All tables of a comparison, without those that would be empty."""
    made = [
        *([standings(result)] if len(result.sizes) > 1 or len(result.config.budgets) > 1 else []),
        accuracies(result),
        differences(result),
        speeds(result),
        rates(result),
        troubles(result),
    ]
    return [sheet for sheet in made if sheet.rows]


def standings(result: ComparisonResult) -> Sheet:
    """A row for each start, the best first, over all networks and budgets."""
    budgets, several = result.config.budgets, len(result.sizes) > 1
    ordered = sorted(result.analysis.standings.values(), key=lambda one: (one.rank != one.rank, one.rank))
    rows = [
        [
            one.strategy,
            texts.rank(one.rank),
            f"{one.wins} of {one.of}",
            str(one.ahead),
            str(one.behind),
            *(texts.percent(one.difference[steps], signed=True) for steps in (budgets if several else ())),
        ]
        for one in ordered
    ]
    return Sheet(
        "Starts over all networks and budgets",
        ("start", "mean rank", "best", "ahead", "behind", *(_steps(steps) for steps in (budgets if several else ()))),
        rows,
        f"ahead, behind: where the whole interval of the difference from {result.config.reference} is on one side"
        + (f"; steps: mean difference over networks, in %, {_level(result)} interval over networks" if several else ""),
    )


def accuracies(result: ComparisonResult) -> Sheet:
    """A row for each network and start: accuracy before training and after each budget."""

    def cells(model: str, strategy: str) -> list[str]:
        analysis = result.analysis
        found = [analysis.cells[model, strategy, steps].accuracy for steps in result.config.budgets]
        return [texts.percent(one) for one in (analysis.overall[model, strategy].before, *found)]

    config = result.config
    return _by_start(
        result,
        "Accuracy on test images, top-1 in %",
        ("untrained", *(_steps(steps) for steps in config.budgets)),
        cells,
        f"{config.seeds} seeds, ± half the {_level(result)} interval of the mean (Student's t)",
    )


def differences(result: ComparisonResult) -> Sheet:
    """A row for each network and start but the reference: difference in accuracy, seed by seed."""

    def cells(model: str, strategy: str) -> list[str]:
        found = [result.analysis.cells[model, strategy, steps] for steps in result.config.budgets]
        return [texts.percent(cell.difference, signed=True) for cell in found]

    return _by_start(
        result,
        f"Difference from {result.config.reference}, in % of the images",
        [_steps(steps) for steps in result.config.budgets],
        cells,
        f"paired over seeds, ± half the {_level(result)} interval (Student's t)",
        reference=False,
    )


def speeds(result: ComparisonResult) -> Sheet:
    """A row for each network and start: steps to the reference's final accuracy, speed-up, area, rank."""

    def cells(model: str, strategy: str) -> list[str]:
        one = result.analysis.overall[model, strategy]
        return [
            texts.steps(one.steps),
            texts.times(one.speed_up),
            texts.steps(one.curve_steps),
            texts.times(one.curve_speed_up),
            texts.percent(one.area),
            texts.rank(one.rank),
        ]

    config = result.config
    return _by_start(
        result,
        f"Steps to what {config.reference} has after {config.budgets[-1]}",
        ("by budgets", "speed-up", "by curve", "speed-up", "area under the curve, %", "mean rank"),
        cells,
        f"by budgets: each a training of its own; by curve: along the trainings of {config.budgets[-1]} steps, "
        f"smoothed; {_level(result)} intervals by bootstrap over seeds; area: over log(1 + steps)",
    )


def rates(result: ComparisonResult) -> Sheet:
    """A row for each network and start: the learning rates that were chosen."""

    def cells(model: str, strategy: str) -> list[str]:
        found = [result.choices.get((model, strategy, steps)) for steps in result.config.tuned]
        return [texts.rate(None) if one is None else texts.rate(one.lr) + "*" * one.at_edge for one in found]

    config = result.config
    tried = sorted({lr for choice in result.choices.values() for lr, _ in choice.tried})
    caption = f"tried: {', '.join(map(texts.rate, tried))}, beyond the grid only where the best was at its edge"
    if any(choice.at_edge for choice in result.choices.values()):
        caption += "; *: the best is at an edge of what was tried"
    columns = [_steps(steps) for steps in config.tuned]
    title = f"Learning rates of {config.optimiser}, chosen on held-out training images"
    if not config.swept:
        title, caption = f"Learning rate of {config.optimiser}, as given", ""
    return _by_start(result, title, columns, cells, caption)


def troubles(result: ComparisonResult) -> Sheet:
    """A row for each kind of failure of a network and start."""
    found: dict[tuple[str, ...], int] = {}
    for run in result.troubled():
        kind = (run.model, run.strategy, run.purpose, str(run.steps), texts.rate(run.lr), run.why)
        found[kind] = found.get(kind, 0) + 1
    return Sheet(
        "Not as it should be",
        ("network", "start", "runs to", "steps", "rate", "what", "runs"),
        [[*kind, str(count)] for kind, count in found.items()],
        left=6,
    )


def _by_start(
    result: ComparisonResult,
    title: str,
    columns: Sequence[str],
    cells: Callable[[str, str], list[str]],
    caption: str,
    *,
    reference: bool = True,
) -> Sheet:
    rows = [
        [model, strategy, *cells(model, strategy)]
        for model, strategy in result.analysis.overall
        if reference or strategy != result.config.reference
    ]
    return Sheet(title, ("network", "start", *columns), rows, caption, left=2)


def _steps(steps: int) -> str:
    return f"{steps} steps" if steps != 1 else "1 step"


def _level(result: ComparisonResult) -> str:
    return f"{100 * result.config.confidence:g} %"
