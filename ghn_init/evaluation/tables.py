"""A report as tables of the papers' shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table

from ghn_init.evaluation.compare import Estimate
from ghn_init.evaluation.report import Report
from ghn_init.evaluation.summary import BINS, Summary
from ghn_init.rendering import inert

#: What the papers call the splits.
HEADINGS: dict[str, str] = {
    "train": "ID train",
    "val": "ID val",
    "test": "ID test",
    "wide": "Wide",
    "deep": "Deep",
    "dense": "Dense",
    "bnfree": "BN-free",
    "search": "Search",
}
_HISTOGRAM = "0 to 100 %"
_BARS = "·▁▂▃▄▅▆▇█"


def tables(report: Report) -> list[Table]:
    """All tables of a report that have rows."""
    made = []
    if report.results:
        made += [papers_table(report), details_table(report)]
        if any(result.top5 is not None for result in report.results):
            made.insert(1, papers_table(report, top5=True))
    if report.comparisons():
        made.append(finetune_table(report))
    if report.troubled() or report.failed_runs():
        made.append(trouble_table(report))
    return made


def short(summary: Summary) -> str:
    """One line: mean and standard error, best, worst, how many, and a histogram from 0 to 100 %."""
    ends = f"best {_percent(summary.best)}, worst {_percent(summary.worst)}"
    mean = _with_error(summary.mean, summary.standard_error)
    return f"accuracy in %: mean {mean}, {ends}; {_count(summary)} networks; {bars(summary.histogram())}"


def papers_table(report: Report, *, top5: bool = False) -> Table:
    """Rows: the GHN, and own initialisation; columns: splits and single networks; mean ± standard error (best)."""
    images = "all images" if report.images_each is None else f"{report.images_each} images a network"
    kind = "top-5" if top5 else "top-1"
    table = _table(
        f"Accuracy without training, {kind} in %: mean ± standard error (best)",
        f"{report.data}, {images}; guessing gives {100 * report.chance:.1f} %",
        ("weights", *(HEADINGS.get(column, column) for column in report.columns)),
    )
    for start in report.starts:
        summaries = [report.summary(column, start, top5=top5) for column in report.columns]
        table.add_row(inert(report.label(start)), *(_cell(summary) for summary in summaries))
    return table


def details_table(report: Report) -> Table:
    """A row for each column of the papers' table and start, with a histogram from 0 to 100 %."""
    numbers = ("n", "mean", "s.e.", "best", "worst")
    table = _table("The same, row by row", "", ("networks", "weights", *numbers, _HISTOGRAM), left=2)
    for column in report.columns:
        for start in report.starts:
            summary = report.summary(column, start)
            if summary is not None:
                values = (summary.mean, summary.standard_error, summary.best, summary.worst)
                table.add_row(
                    inert(HEADINGS.get(column, column)),
                    start,
                    _count(summary),
                    *(_percent(value) for value in values),
                    bars(summary.histogram()),
                )
    return table


def finetune_table(report: Report) -> Table:
    """Rows: predicted and own weights, and their difference pair by pair; columns: numbers of steps."""
    rows = report.comparisons()
    steps = sorted({row.steps for row in rows})
    table = _table(
        "Accuracy after fine-tuning, top-1 in %: mean ± standard error",
        f"{report.data}; learning rates chosen on held-out training images",
        ("networks", "number x seeds", "weights", *(f"{number} steps" for number in steps)),
        left=3,
    )
    for column in dict.fromkeys(row.column for row in rows):
        found = {row.steps: row for row in rows if row.column == column}
        least = min(found.values(), key=lambda row: (row.networks, row.seeds))
        names = (inert(HEADINGS.get(column, column)), f"{least.networks} x {least.seeds}")
        labels = {"predicted": report.label("predicted"), "own": report.label("own"), "difference": "difference"}
        for what, label in labels.items():
            cells = [_estimate(getattr(found[number], what)) if number in found else "-" for number in steps]
            table.add_row(*names, inert(label), *cells)
            names = (inert(""), "")
    return table


def trouble_table(report: Report) -> Table:
    """Networks and runs without an accuracy, and networks with logits that are not finite."""
    table = _table("Not as it should be", "", ("network", "weights", "what", "why"), left=4)
    for result in report.troubled():
        why = result.message or f"{result.not_finite} of {result.images} images, counted as wrong"
        table.add_row(inert(result.name), result.start, result.status, inert(why))
    for run in report.failed_runs():
        table.add_row(inert(f"{run.name}, {run.steps} steps"), run.start, run.status, inert(run.message))
    return table


def bars(counts: Sequence[int]) -> str:
    """A histogram in one line, its highest bar full; a dot where there is nothing."""
    highest = max(counts, default=0)
    return "".join(_BARS[math.ceil(count / highest * (len(_BARS) - 1)) if count else 0] for count in counts)


def _table(title: str, caption: str, columns: Sequence[str], left: int = 1) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption = inert(caption, "table.caption") if caption else None
    table.title_justify = table.caption_justify = "left"
    for number, column in enumerate(columns):
        # a number that is cut off would be another one, so that lines are broken instead
        width = BINS if column == _HISTOGRAM else max(len(word) for word in column.split())
        side: JustifyMethod = "left" if number < left else "right"
        table.add_column(inert(column), justify=side, overflow="fold", min_width=width, no_wrap=column == _HISTOGRAM)
    return table


def _cell(summary: Summary | None) -> str:
    if summary is None or not summary.measured:
        return "-"
    if len(summary.accuracies) == 1:
        return _percent(summary.mean)
    return f"{_with_error(summary.mean, summary.standard_error)} ({_percent(summary.best)})"


def _with_error(mean: float, error: float) -> str:
    return _percent(mean) if math.isnan(error) else f"{_percent(mean)} ± {_percent(error)}"


def _count(summary: Summary) -> str:
    return f"{len(summary.measured)}" + (f" of {len(summary.accuracies)}" if summary.failed else "")


def _estimate(estimate: Estimate) -> str:
    return _with_error(estimate.mean, estimate.standard_error)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
