"""A report as pictures; needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghn_init.atomic import write_atomically
from ghn_init.evaluation.compare import Estimate
from ghn_init.evaluation.errors import EvaluationError
from ghn_init.evaluation.measure import Start
from ghn_init.evaluation.report import Report
from ghn_init.evaluation.summary import BINS
from ghn_init.evaluation.tables import HEADINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS: dict[Start, str] = {"predicted": "tab:blue", "own": "tab:orange"}
_WIDTH, _HEIGHT, _DPI = 3.2, 3.0, 150


def check_matplotlib() -> None:
    """Raises `EvaluationError` where plots cannot be made, before hours are spent on what they show."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise EvaluationError("plots need matplotlib: pip install 'ghn-init[train]', or ask for no plots") from error


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Writes ``histograms.png``, ``accuracy_by_size.png`` and ``finetune.png``, those that have something to show.

    Returns:
        Their paths.

    Raises:
        EvaluationError: matplotlib is missing.
        OSError: the folder does not exist or is not writable.
    """
    check_matplotlib()
    figures: dict[str, Figure] = {}
    if any(result.top1 is not None for result in report.results):
        figures = {"histograms.png": histograms(report), "accuracy_by_size.png": by_size(report)}
    if report.comparisons():
        figures["finetune.png"] = finetuning(report)
    for name, figure in figures.items():
        _write(figure, folder / name)
    return [folder / name for name in figures]


def histograms(report: Report) -> Figure:
    """How the accuracies of each split are distributed; single networks only where there is no split."""
    from matplotlib.figure import Figure

    several = [column for column in report.columns if any(len(report.members(column, s)) > 1 for s in report.starts)]
    shown = several or report.columns
    figure = Figure(figsize=(_WIDTH * len(shown), _HEIGHT), layout="constrained")
    for axes, column in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for start in report.starts:
            summary = report.summary(column, start)
            if summary is not None and summary.measured:
                percent = [100 * value for value in summary.measured]
                label, colour = report.label(start), _COLOURS[start]
                axes.hist(percent, bins=BINS, range=(0, 100), color=colour, alpha=0.5, label=label)
                axes.axvline(100 * summary.mean, color=colour)
        axes.axvline(100 * report.chance, color="grey", linestyle=":", label="guessing")
        axes.set(title=HEADINGS.get(column, column), xlabel="top-1 accuracy, %", xlim=(0, 100))
    figure.axes[0].set_ylabel("networks")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def by_size(report: Report) -> Figure:
    """Accuracy against the number of parameters and against depth, a point for each network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * _WIDTH, _HEIGHT), layout="constrained")
    sizes, depths = figure.subplots(1, 2, sharey=True)
    for column in report.columns:
        members = [result for result in report.members(column, report.starts[0]) if result.top1 is not None]
        percent = [100 * (result.top1 or 0.0) for result in members]
        label = HEADINGS.get(column, column)
        sizes.scatter([result.parameters for result in members], percent, s=8, label=label)
        depths.scatter([result.depth for result in members], percent, s=8, label=label)
    for axes in (sizes, depths):
        axes.axhline(100 * report.chance, color="grey", linestyle=":")
    sizes.set(xscale="log", xlabel="parameters", ylabel="top-1 accuracy, %")
    depths.set(xlabel="layers with weights on the longest path")
    depths.legend(fontsize="small")
    return figure


def finetuning(report: Report) -> Figure:
    """Accuracy against the number of fine-tuning steps, from predicted and from own weights."""
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(row.column for row in report.comparisons()))
    figure = Figure(figsize=(1.4 * _WIDTH * len(columns), 1.2 * _HEIGHT), layout="constrained")
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        rows = [row for row in report.comparisons() if row.column == column]
        steps = [row.steps for row in rows]
        curves: dict[Start, list[Estimate]] = {
            "predicted": [row.predicted for row in rows],
            "own": [row.own for row in rows],
        }
        for start, estimates in curves.items():
            means = [100 * each.mean for each in estimates]
            errors = [100 * each.standard_error for each in estimates]
            axes.errorbar(steps, means, errors, marker="o", capsize=3, color=_COLOURS[start], label=report.label(start))
        axes.axhline(100 * report.chance, color="grey", linestyle=":", label="guessing")
        axes.set_xscale("symlog", linthresh=min((step for step in steps if step), default=1))
        axes.set(title=HEADINGS.get(column, column), xlabel="fine-tuning steps", xticks=steps)
        axes.set_xticklabels([str(step) for step in steps])
    figure.axes[0].set_ylabel("top-1 accuracy, %")
    figure.axes[0].legend()
    return figure


def _write(figure: Figure, path: Path) -> None:
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=_DPI))
