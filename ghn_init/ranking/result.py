"""A ranking: rows in order, as a table, as files, and its networks as modules."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import nn

from ghn_init.atomic import write_together
from ghn_init.evaluation.failures import FAILURES
from ghn_init.evaluation.measure import Setup
from ghn_init.evaluation.subjects import Subject
from ghn_init.options import NOISE
from ghn_init.ranking.modules import Kept, save_kept, with_weights
from ghn_init.ranking.rows import CONFIDENCE, Row
from ghn_init.ranking.table import footnotes, table
from ghn_init.rendering import Rendered, as_text


@dataclasses.dataclass(frozen=True, repr=False)
class Ranking(Rendered):
    """Networks in order.

    Attributes:
        rows: the networks within the budget: those with a score, the best first (the smaller one of equals), then those
            without one.
        over_budget: the networks that were not measured, in the order in which they came.
        by: what they are ranked by: "ghn" for the accuracy with predicted weights and no training, or a proxy.
        ghn: what to call the GHN.
        data: what to call the images.
        images: how many images there were, the same for all networks.
        num_classes: of the images.
        wanted: how many networks within the budget a search was to find; None for a given list.
        keep: how many `modules` and `save` hand back; None for all.
        subjects: what builds the networks, by name.
        setup: the GHN and the images.
    """

    rows: Sequence[Row]
    over_budget: Sequence[Row]
    by: str
    ghn: str
    data: str
    images: int
    num_classes: int
    wanted: int | None
    keep: int | None
    subjects: dict[str, Subject] = dataclasses.field(compare=False)
    setup: Setup = dataclasses.field(compare=False)

    @property
    def best(self) -> Row | None:
        """The first row; None if no network has a score."""
        return next(iter(self.ranked), None)

    @property
    def ranked(self) -> list[Row]:
        """The rows with a score."""
        return [row for row in self.rows if row.score is not None]

    @property
    def failed(self) -> list[Row]:
        """The rows without one."""
        return [row for row in self.rows if row.score is None]

    @property
    def kept(self) -> list[Row]:
        """The rows of the networks that `modules` hands back."""
        return self.ranked[: self.keep]

    def module(self, name: str, *, noise: float = NOISE) -> nn.Module:
        """One of the networks, with predicted weights; arguments and errors as for `modules`.

        Raises:
            KeyError: none has this name.
        """
        return with_weights(self.setup, self.subjects[name], self.ghn, noise)

    def modules(self, count: int | None = None, *, noise: float = NOISE) -> list[nn.Module]:
        """The best networks with predicted weights, as modules in evaluation mode, the best first.

        Parameters that the GHN does not predict have random values, always the same. Batch norms have no running
        statistics and use those of each batch, as when the networks were measured.

        Args:
            count: how many; `keep` if None.
            noise: standard deviation of the noise that tells tiled copies apart, so that they can learn different
                things; 0 for exactly the weights that were measured.
        """
        rows = self.ranked[: self.keep if count is None else count]
        return [self.module(row.name, noise=noise) for row in rows]

    def save(self, folder: str | Path, count: int | None = None, *, noise: float = NOISE) -> Path:
        """Writes the best networks into a new folder, which `ghn_init.ranking.load_kept` reads; returns its path.

        For each a safetensors file with its weights and a JSON file with its architecture; and the ranking as
        ``ranking.json`` and ``ranking.csv``. The folder is there completely or not at all; one that `save` has written
        before is replaced.

        Args:
            folder: the folder.
            count: how many networks; `keep` if None.
            noise: as for `modules`.

        Raises:
            RankingError: there is a folder of something else, or no network to save.
            OSError: the place cannot be written to.
        """
        rows = self.ranked[: self.keep if count is None else count]
        kept = [
            Kept(row, self.subjects[row.name], functools.partial(self.module, row.name, noise=noise)) for row in rows
        ]
        return save_kept(Path(folder), self.setup, self.ghn, kept, self._texts())

    def write(self, folder: str | Path) -> list[Path]:
        """Writes ``ranking.json``, ``ranking.csv`` and ``ranking.txt`` into a folder; returns their paths.

        Raises:
            OSError: the folder cannot be made or written to; each file is the old one or the whole new one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = self._texts()
        write_together(folder, {name: _writer(text) for name, text in texts.items()})
        return [folder / name for name in texts]

    def to_dict(self) -> dict[str, Any]:
        """The ranking as JSON types."""
        return {
            "by": self.by,
            "ghn": self.ghn,
            "data": self.data,
            "images": self.images,
            "num_classes": self.num_classes,
            "chance": 1 / self.num_classes,
            "confidence": CONFIDENCE,
            "wanted": self.wanted,
            "drawn": len(self.rows) + len(self.over_budget),
            "within_budget": len(self.rows),
            "rows": [self._to_dict(row) for row in self.rows],
            "over_budget": [
                {key: value for key, value in self._to_dict(row).items() if key in _OVER} for row in self.over_budget
            ],
        }

    def table(self, top: int | None = None) -> Table:
        """The rows as a table: the `top` best ones, or all."""
        return table(self, top)

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield self.table()
        yield from footnotes(self)

    def _texts(self) -> dict[str, str]:
        return {
            "ranking.json": json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n",
            "ranking.csv": self._csv(),
            "ranking.txt": as_text(self) + "\n",
        }

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(self._to_dict, (*self.rows, *self.over_budget)))
        return text.getvalue()

    def _to_dict(self, row: Row) -> dict[str, Any]:
        return {key: value for key, value in dataclasses.asdict(row).items() if key in _COLUMNS}


_COLUMNS = [field.name for field in dataclasses.fields(Row) if field.name != "digest"]
_OVER = ("name", "parameters", "flops", "message")


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Rows with a score, the best first, of equal ones the smaller network; then the others, failures last."""

    def key(row: Row) -> tuple[Any, ...]:
        return (
            row.score is None,
            row.status in FAILURES,
            -(row.score or 0.0),
            row.parameters or 0,
            row.flops or 0,
            row.name,
        )

    return sorted(rows, key=key)


def _writer(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8", newline="")
