"""Builds and traces every network that timm, torchvision and transformers (small configurations) can create.

    python benchmarks/zoo_sweep.py                            # all, one process for each core
    python benchmarks/zoo_sweep.py --zoo timm --names 'vit_*' 'swin*' --processes 1
    python benchmarks/zoo_sweep.py --retry                    # what failed or is below 99 % once more
    python benchmarks/zoo_sweep.py --summary benchmarks/zoo.md

One line of JSON for each network goes to `--out` as soon as it is known, so that a run that was stopped continues where
it was: how it was traced, nodes by type, parameters and the share of them that the embedded default predicts, those
left alone with their reasons, seconds, memory. Beside it lie a CSV and a summary in Markdown of all lines so far. The
exit status is 1 if any network failed, or a classifier of timm has less than 99 % of its parameters predicted.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from zoo_measure import measure, names_of
from zoo_pool import Task, results
from zoo_table import Record, below_bar, write_csv, write_summary

ZOOS = ("timm", "torchvision", "transformers")


def main() -> int:
    args = _arguments()
    console = Console()
    wanted = [(zoo, name) for zoo in args.zoo for name in names_of(zoo) if _matches(name, args.names)]
    if not wanted:
        console.print(f"no network of {', '.join(args.zoo)} matches {', '.join(args.names)}")
        return 2
    known = _read(args.out)
    if args.retry:
        known = {key: record for key, record in known.items() if "error" not in record and not below_bar(record)}
    missing = [task for task in wanted if task not in known]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description:40.40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[bad]}"),
    )
    with args.out.open("a") as file, Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task("", total=len(missing), bad="")
        bad = 0
        for (zoo, name), record in results(measure, missing, args.processes, args.timeout):
            known[zoo, name] = record = {"zoo": zoo, "name": name} | record
            file.write(json.dumps(record) + "\n")
            file.flush()
            failed = "error" in record or below_bar(record)
            bad += failed
            if failed:
                progress.console.print(f"{zoo}:{name}: {record.get('error') or format(record['share'], '.2%')}")
            progress.update(bar, advance=1, description=f"{zoo}:{name}", bad=f"[red]{bad} bad[/red]" if bad else "")
    records = [known[task] for zoo in ZOOS for task in sorted(known) if task[0] == zoo]
    write_csv(records, args.out.with_suffix(".csv"))
    write_summary(records, args.summary or args.out.with_suffix(".md"), args.note)
    failed = [known[task] for task in wanted if "error" in known[task] or below_bar(known[task])]
    console.print(f"{len(wanted)} networks, {len(failed)} of them failed or below the bar; see {args.out}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", nargs="+", choices=ZOOS, default=list(ZOOS))
    parser.add_argument("--names", nargs="+", default=["*"], help="patterns of names (default: all)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one network (default: %(default)s)")
    parser.add_argument("--retry", action="store_true", help="run again what failed or is below 99 %%")
    parser.add_argument("--out", type=Path, default=Path("zoo.jsonl"), help="lines of JSON (default: %(default)s)")
    parser.add_argument("--summary", type=Path, help="the summary's file (default: --out with suffix .md)")
    parser.add_argument("--note", default="", help="a sentence on the conditions, for the summary")
    return parser.parse_args()


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _read(path: Path) -> dict[Task, Record]:
    """The lines so far, the latest of each network; a line that was cut off by a crash is left out."""
    known: dict[Task, Record] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            known[record["zoo"], record["name"]] = record
    return known


if __name__ == "__main__":
    sys.exit(main())
