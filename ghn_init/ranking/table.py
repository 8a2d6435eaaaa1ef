"""A ranking as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table

from ghn_init.ranking.rows import CONFIDENCE, Row
from ghn_init.rendering import inert

if TYPE_CHECKING:
    from ghn_init.ranking.result import Ranking

#: Names of networks over the budget that a footnote gives.
_NAMED = 8
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def table(ranking: Ranking, top: int | None = None) -> Table:
    """The `top` best rows, or all, those without a score included."""
    accuracy = ranking.by == "ghn"
    what = "accuracy with predicted weights, without training" if accuracy else ranking.by
    made = Table(title=inert(f"Networks by {what}"), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    made.title_justify = "left"
    score = ("top-1, %", f"{CONFIDENCE:.0%} interval") if accuracy else ("score",)
    numbers = ("#", *score, "parameters", "multiply-adds", "s")
    shown = ranking.rows if top is None else ranking.ranked[:top]
    remarks = any(map(_remark, shown))
    for name in ("#", "network", *numbers[1:], *(("remark",) if remarks else ())):
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold", no_wrap=name in numbers)
    for number, row in enumerate(shown, 1):
        value = [_percent(row.score), _range(row)] if accuracy else [_number(row.score)]
        sizes = [count_text(row.parameters), count_text(row.flops), f"{row.seconds:.1f}"]
        cells = [inert(row.name), *value, *sizes, *((inert(_remark(row)),) if remarks else ())]
        made.add_row("-" if row.score is None else str(number), *cells)
    return made


def footnotes(ranking: Ranking) -> Iterator[RenderableType]:
    """How the table was made, and what is not in it."""
    if ranking.by == "ghn":
        yield inert(
            f"{ranking.ghn} on the same {ranking.images} images of {ranking.data} for all; guessing gives "
            f"{100 / ranking.num_classes:.1f} %. Intervals are Wilson's."
        )
    else:
        yield inert(f"{ranking.by} on {ranking.data}, of networks with random weights")
    drawn = len(ranking.rows) + len(ranking.over_budget)
    if ranking.wanted is not None and len(ranking.rows) < ranking.wanted:
        yield inert(
            f"only {len(ranking.rows)} of {ranking.wanted} networks wanted are among the {drawn} that were drawn"
        )
    if ranking.over_budget:
        names = ", ".join(row.name for row in ranking.over_budget[:_NAMED])
        more = ", ..." if len(ranking.over_budget) > _NAMED else ""
        yield inert(f"{len(ranking.over_budget)} of {drawn} are over the budget and were not measured: {names}{more}")


def count_text(count: int | None) -> str:
    """A number of parameters or operations for people: 11.2M."""
    if count is None:
        return "?"
    for unit, letter in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g}{letter}" if count < 999.5 * unit else f"{count / unit:.0f}{letter}"
    return str(count)


def _remark(row: Row) -> str:
    if row.status == "ok":
        return row.message
    return f"{row.status}: {row.message}" if row.message else row.status


def _range(row: Row) -> str:
    return "-" if row.low is None or row.high is None else f"{_percent(row.low)} to {_percent(row.high)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
