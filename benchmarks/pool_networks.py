"""The networks of `benchmarks/pool.py` and what became of them, for `ranking.py` and `properties.py`."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

from ghn_init.deepnets import Architecture, sample
from ghn_init.evaluation import SplitNetwork

#: Where the results of `pool.py` are, and where those of these benchmarks go.
FOLDER = Path(__file__).parent / "ranking"


#: The networks' width, narrower than the split's.
WIDTH = 16


@dataclasses.dataclass(frozen=True)
class PoolNetwork(SplitNetwork):
    """Architecture `index` of a split, narrow."""

    width: int = WIDTH

    @functools.cached_property
    def _architecture(self) -> Architecture:
        return dataclasses.replace(sample(self.split, self.index), width=self.width)


def of_row(row: dict[str, Any]) -> PoolNetwork:
    """The network that a line of the pool is about."""
    return PoolNetwork(row["split"], row["index"], row["width"])


def read_pool(path: Path) -> list[dict[str, Any]]:
    """The lines about networks that were trained to the end, for the number of steps that most were trained for."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    steps = Counter(row["steps"] for row in rows).most_common(1)[0][0]
    return [row for row in rows if row["steps"] == steps and row["curve"] and row["curve"][-1][0] == steps]


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Lines of JSON by the name in them; none if there is no such file."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["name"]: row for row in rows}


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Adds a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
