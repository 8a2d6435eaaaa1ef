"""A comparison that is done."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType

from ghn_init.atomic import write_atomically, write_text_atomically
from ghn_init.comparison.analysis import Analysis
from ghn_init.comparison.config import CompareConfig
from ghn_init.comparison.costs import Size
from ghn_init.comparison.estimates import json_number
from ghn_init.comparison.html import html
from ghn_init.comparison.plots import plots as draw
from ghn_init.comparison.rows import CURVE_COLUMNS, RUN_COLUMNS, as_csv, curve_rows, run_rows, summary_rows
from ghn_init.comparison.runs import RunResult
from ghn_init.comparison.sweep import Choice
from ghn_init.comparison.tables import tables
from ghn_init.comparison.versions import versions
from ghn_init.rendering import Rendered, apart


@dataclasses.dataclass(frozen=True)
class ComparisonResult(Rendered):
    """What a comparison found.

    Attributes:
        config: the settings.
        data: the images, in words and numbers.
        sizes: the networks, by name.
        runs: all trainings, also those that failed.
        choices: the learning rates that were chosen, by network, start and budget of the sweep.
        command: how to make it again; empty if unknown.
    """

    config: CompareConfig
    data: Mapping[str, int | str]
    sizes: Mapping[str, Size]
    runs: tuple[RunResult, ...]
    choices: Mapping[tuple[str, str, int], Choice]
    command: str = ""

    @functools.cached_property
    def analysis(self) -> Analysis:
        """The numbers."""
        return Analysis(self.runs, list(self.sizes), self.config)

    def table(self) -> RenderableType:
        """Tables for a terminal; ``str`` of the result has them as plain text."""
        return Group(*apart(tables(self)))

    def choice(self, model: str, strategy: str, steps: int) -> Choice | None:
        """The learning rate that runs of a budget have; None if none works."""
        return self.choices.get((model, strategy, self.config.tuned_for(steps)))

    def troubled(self) -> list[RunResult]:
        """The runs that failed, diverged, or ended with logits that are not finite."""
        return [run for run in self.runs if run.why]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types; None for what there is not, "inf" for infinity."""
        analysis = self.analysis
        return {
            "command": self.command,
            "config": dataclasses.asdict(self.config),
            "data": dict(self.data),
            "models": {name: dataclasses.asdict(size) for name, size in self.sizes.items()},
            "versions": versions(),
            "standings": [_plain(standing) for standing in analysis.standings.values()],
            "overall": [_plain(overall) for overall in analysis.overall.values()],
            "cells": [
                {**_plain(cell), "choice": _plain(self.choice(cell.model, cell.strategy, cell.steps))}
                for cell in analysis.cells.values()
            ],
            "runs": [_plain(run) for run in self.runs],
        }

    def write(self, folder: str | Path, *, plots: bool = True) -> list[Path]:
        """Writes the files of a comparison: ``results.json``, tables as CSV and as text, plots, ``report.html``.

        Args:
            folder: where; made if missing.
            plots: whether to draw, for which matplotlib is needed.

        Returns:
            Their paths.

        Raises:
            ComparisonError: jinja2 is missing, or matplotlib for plots.
            OSError: the folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "results.json": json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n",
            "runs.csv": as_csv(RUN_COLUMNS, run_rows(self.runs)),
            "curves.csv": as_csv(CURVE_COLUMNS, curve_rows(self.runs)),
            "summary.csv": as_csv(None, summary_rows(self)),
            "tables.txt": str(self) + "\n",
        }
        pictures = draw(self) if plots else {}
        texts["report.html"] = html(self, pictures)
        for name, text in texts.items():
            write_text_atomically(folder / name, text)
        for name, content in pictures.items():
            write_atomically(folder / name, functools.partial(Path.write_bytes, data=content))
        return [folder / name for name in (*texts, *pictures)]

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield self.table()


def _plain(value: Any) -> Any:
    """As JSON types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return json_number(value) if isinstance(value, float) else value
