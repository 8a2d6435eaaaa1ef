"""Trainings that the repository keeps, as the journal of a comparison, which then need not be made again."""

from __future__ import annotations

import csv
import dataclasses
import json
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ghn_init.comparison import Data
from ghn_init.comparison.config import CompareConfig
from ghn_init.comparison.run import JOURNAL, settings
from ghn_init.comparison.runs import RunResult
from ghn_init.evaluation.journal import Journal
from ghn_init.strategies import parse

#: Readers of the columns; the others are text.
_READ = {"steps": int, "seed": int, "lr": float, "accuracy": float, "diverged": int}


def restore(kept: Path, out: Path, again: Collection[str], config: CompareConfig, data: Data) -> int:
    """Writes the journal of a comparison from ``runs.csv`` and ``curves.csv``, whole, unless there is one.

    How long a training took is not kept, and 0 in the journal.

    Args:
        kept: the folder with these files and ``settings.json``.
        out: the comparison's folder.
        again: names of strategies whose trainings are left out, to be made again.
        config: the settings.
        data: the images.

    Returns:
        how many trainings there are in it now; 0 where the journal was there, or nothing is kept.

    Raises:
        ValueError: the kept trainings had other settings.
    """
    path = out / JOURNAL
    if path.exists() or not (kept / "runs.csv").exists():
        return 0
    before = json.loads((kept / "settings.json").read_text())["config"]
    now = json.loads(json.dumps(config.of_runs()))
    if changed := [name for name, value in now.items() if before[name] != value]:
        raise ValueError(f"{kept}: its trainings had other settings: {', '.join(changed)}")
    results = [result for result in _results(kept) if parse(result.strategy).entry.name not in again]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        journal = Journal(Path(folder) / JOURNAL, settings(config, data))
        for result in results:
            journal.append(dataclasses.asdict(result))
        for file in sorted(Path(folder).iterdir(), reverse=True):  # the settings before what they are of
            file.rename(out / file.name)
    return len(results)


def _results(kept: Path) -> Iterator[RunResult]:
    curves = defaultdict(list)
    for row in _rows(kept / "curves.csv"):
        curves[_which(row)].append((int(row["step"]), row["accuracy"]))
    for row in _rows(kept / "runs.csv"):
        curve = curves[_which(row)] if row["purpose"] == "test" else ()
        yield RunResult(**row, curve=tuple(curve))


def _which(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "strategy", "steps", "lr", "seed"))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> Any:
    read = _READ.get(name, str)
    return read(text) if text or read is str else None
