"""An evaluation's results, put together as the papers' tables have them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ghn_init.atomic import write_text_atomically
from ghn_init.evaluation.compare import Comparison, compare
from ghn_init.evaluation.failures import FAILURES
from ghn_init.evaluation.finetune import RunResult
from ghn_init.evaluation.measure import STARTS, Result, Start
from ghn_init.evaluation.summary import Summary
from ghn_init.rendering import Rendered, apart


@dataclasses.dataclass(frozen=True)
class Report(Rendered):
    """Everything that an evaluation found.

    Attributes:
        ghn: what to call the GHN.
        data: what to call the images.
        num_classes: of the images.
        images_each: test images a network, None for all.
        results: networks without training.
        runs: networks that were fine-tuned.
        fingerprint: what stands for the GHN's weights; see `ghn_init.checkpoints.fingerprint`.
    """

    ghn: str
    data: str
    num_classes: int
    images_each: int | None = None
    results: Sequence[Result] = ()
    runs: Sequence[RunResult] = ()
    fingerprint: str = ""

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return 1 / self.num_classes

    @property
    def columns(self) -> list[str]:
        """The columns of the papers' table, in the order of the results."""
        return list(dict.fromkeys(result.column for result in self.results))

    @property
    def starts(self) -> list[Start]:
        """The rows of that table: where weights come from."""
        return [start for start in STARTS if any(result.start == start for result in self.results)]

    def label(self, start: Start) -> str:
        """What to call weights from `start`."""
        return {"predicted": self.ghn, "own": "own initialisation"}[start]

    def members(self, column: str, start: Start) -> list[Result]:
        """The networks of a column with weights from `start`."""
        return [result for result in self.results if result.column == column and result.start == start]

    def summary(self, column: str, start: Start, *, top5: bool = False) -> Summary | None:
        """Their accuracies; None if there are no networks, or no top-5 accuracies."""
        values = [result.top5 if top5 else result.top1 for result in self.members(column, start)]
        if not values or (top5 and all(value is None for value in values)):
            return None
        return Summary(tuple(math.nan if value is None else value for value in values))

    def troubled(self) -> list[Result]:
        """Networks without an accuracy, and those with logits that are not finite."""
        return [result for result in self.results if result.status != "ok"]

    def failed_runs(self) -> list[RunResult]:
        """Fine-tuning runs without an accuracy."""
        return [run for run in self.runs if run.status in FAILURES]

    def comparisons(self) -> list[Comparison]:
        """Fine-tuning from predicted weights against that from random ones, by number of steps."""
        return compare(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types, without the single fine-tuning runs."""
        columns: dict[str, dict[str, Any]] = {}
        for column in self.columns:
            for start in self.starts:
                summary, top5 = self.summary(column, start), self.summary(column, start, top5=True)
                if summary is not None:
                    of_start = columns.setdefault(column, {})[start] = summary.to_dict()
                    of_start["not_finite"] = sum(
                        result.status == "not finite" for result in self.members(column, start)
                    )
                    of_start["top5"] = None if top5 is None else top5.to_dict()
        keys = ("name", "start", "status", "message")
        return {
            "ghn": self.ghn,
            "fingerprint": self.fingerprint,
            "data": self.data,
            "num_classes": self.num_classes,
            "chance": self.chance,
            "images_each": self.images_each,
            "columns": columns,
            "troubled": [{key: getattr(result, key) for key in keys} for result in self.troubled()],
            "finetune": [_without_nan(dataclasses.asdict(row)) for row in self.comparisons()],
            "finetune_failed": [{key: getattr(run, key) for key in (*keys, "steps")} for run in self.failed_runs()],
        }

    def write(self, folder: Path) -> list[Path]:
        """Writes ``results.json``, ``networks.csv`` and, after fine-tuning, ``finetune.csv``; returns their paths.

        Raises:
            OSError: the folder does not exist or is not writable; each file is the old one or the whole new one.
        """
        texts = {"results.json": json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"}
        for name, rows in (("networks.csv", self.results), ("finetune.csv", self.runs)):
            if rows:
                texts[name] = _csv(rows)
        return [write_text_atomically(folder / name, text) for name, text in texts.items()]

    def __rich_console__(self, console: Console, options: Any) -> Any:
        from ghn_init.evaluation.tables import tables

        yield from apart(tables(self) or ["no results"])


def _csv(rows: Iterable[Result | RunResult]) -> str:
    dicts = [dataclasses.asdict(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dicts[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(dicts)
    return text.getvalue()


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    return None if isinstance(data, float) and math.isnan(data) else data
