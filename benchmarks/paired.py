"""What another GHN gains over the embedded default, network by network.

    python benchmarks/paired.py runs/ood runs/test

The folders are results of `ghn-init eval` or `benchmarks/ood.py measure` with the other GHN. The default's accuracies
are those of `ood/networks.json`, to be compared with results on the same data; run this before `ood.py describe` writes
the other's there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console

from ghn_init.rendering import plain_table

NETWORKS = Path(__file__).with_name("ood") / "networks.json"


def predicted_rows(folders: list[Path]) -> list[dict[str, Any]]:
    """The results with predicted weights; networks that failed have none."""
    rows = [json.loads(line) for folder in folders for line in (folder / "networks.jsonl").open()]
    return [row for row in rows if row["start"] == "predicted" and row["top1"] is not None]


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="folders with networks.jsonl")
    rows = predicted_rows(parser.parse_args().results)
    other = {(row["name"], row["images"]): row["top1"] for row in rows}
    pairs = defaultdict(list)
    for row in json.loads(NETWORKS.read_text()):
        if (key := (row["name"], row["images"])) in other:
            pairs[row["column"]].append((row["top1"], other[key]))
    if not pairs:
        parser.error(f"no network there has as many images as one in {NETWORKS.name}: nothing to compare")
    table = plain_table("networks", "number", "default", "other", "difference", "other better", "default better")
    for column, both in sorted(pairs.items()):
        before, after = zip(*both, strict=True)
        gains = [100 * (new - old) for old, new in both]
        error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        table.add_row(
            column,
            str(len(both)),
            f"{statistics.fmean(before):.1%}",
            f"{statistics.fmean(after):.1%}",
            f"{statistics.fmean(gains):+.1f} +- {error:.1f}",
            str(sum(gain > 0 for gain in gains)),
            str(sum(gain < 0 for gain in gains)),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
