"""The sweep's tables: a CSV with a line for each network, and a summary in Markdown."""

from __future__ import annotations

import csv
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Record = dict[str, Any]
BAR = 0.99
_COLUMNS = [
    *("zoo", "family", "name", "traced", "device", "nodes", "edges", "parameters", "share", "in_graph"),
    *("create_s", "trace_s", "extra_mb", "error"),
]


def below_bar(record: Record) -> bool:
    """Whether a classifier of timm has less than 99 % of its parameters predicted."""
    return record["zoo"] == "timm" and bool(record.get("classifier")) and record.get("share", 0.0) < BAR


def write_csv(records: list[Record], path: Path) -> None:
    """All networks; types, reasons and parameters left alone as "name: count" lists."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*_COLUMNS, "types", "reasons", "left_alone"], extrasaction="ignore")
        writer.writeheader()
        for record in records:
            lists = {
                key: "; ".join(f"{k}: {v}" for k, v in record.get(key, {}).items()) for key in ("types", "reasons")
            }
            writer.writerow(record | lists | {"left_alone": " ".join(record.get("left_alone", {}))})


def write_summary(records: list[Record], path: Path, note: str = "") -> None:
    """Totals, then a table for each zoo with a line for each family."""
    lines = ["# Every model of the zoo", "", _INTRODUCTION, ""]
    by_zoo: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_zoo[record["zoo"]].append(record)
    lines += _table(_TOTALS, (_total(zoo, rows) for zoo, rows in by_zoo.items()))
    measured = f"Measured with one thread per process on {platform.machine()}, {_versions()}. {note}"
    lines += ["", measured.strip(), ""]
    lines += _failures(records)
    lines += ["## Parameters left alone, by reason", ""]
    lines += _table(("reason", "networks", "parameters", "such as"), _by_reason(records))
    for zoo, rows in by_zoo.items():
        families: dict[str, list[Record]] = defaultdict(list)
        for record in rows:
            families[record.get("family", "?")].append(record)
        lines += ["", f"## {zoo}", ""]
        lines += _table(_FAMILY, (_family(name, families[name]) for name in sorted(families)))
    path.write_text("\n".join(lines) + "\n")


_INTRODUCTION = """\
Written by `python benchmarks/zoo_sweep.py`: each network is built on the meta device where its constructor
allows that, traced, and its graph restricted to the node types of the embedded default. *Predicted* is the share of
trainable parameters that then have a node, by count; *in graph* the same for a checkpoint that knows all node types.
A classifier with another number of classes than the checkpoint's counts as predicted, as with `head=True`. *Memory* is
what building and tracing add to the process at most."""
_TOTALS = (
    *("zoo", "networks", "failed", "symbolic", "with shapes", "parameters", "predicted", "least in a classifier"),
    *("classifiers below 99 %", "building (s)", "tracing (s)", "most memory (MiB)"),
)
_FAMILY = (
    *("family", "networks", "symbolic", "with shapes", "nodes", "least predicted", "least in graph"),
    *("building (s)", "tracing (s)", "memory (MiB)", "types", "largest reason"),
)


def _total(zoo: str, rows: list[Record]) -> tuple[Any, ...]:
    good = [row for row in rows if "error" not in row]
    how = Counter(row["traced"] for row in good)
    count = sum(row["parameters"] for row in good)
    predicted = sum(row["parameters"] * row["share"] for row in good)
    classifiers = [row["share"] for row in good if row["classifier"]]
    return (
        *(zoo, len(rows), len(rows) - len(good), how["symbolic"], how["shapes"], f"{count:,}"),
        f"{predicted / max(count, 1):.3%}",
        f"{min(classifiers):.2%}" if classifiers else "",
        sum(below_bar(row) for row in good),
        *(f"{sum(row[key] for row in good):.0f}" for key in ("create_s", "trace_s")),
        f"{max((row['extra_mb'] for row in good), default=0):.0f}",
    )


def _family(name: str, rows: list[Record]) -> tuple[Any, ...]:
    good = [row for row in rows if "error" not in row]
    if not good:
        return (name, len(rows), *[""] * 8, "", "all failed")
    how = Counter(row["traced"] for row in good)
    nodes = [row["nodes"] for row in good]
    reasons: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for row in good:
        reasons.update(row["reasons"])
        types.update(row["types"])
    return (
        *(name, len(rows), how["symbolic"] or "", how["shapes"] or ""),
        f"{min(nodes)}" if min(nodes) == max(nodes) else f"{min(nodes)} to {max(nodes)}",
        *(f"{min(row[key] for row in good):.2%}" for key in ("share", "in_graph")),
        *(f"{sum(row[key] for row in good):.1f}" for key in ("create_s", "trace_s")),
        f"{max(row['extra_mb'] for row in good):.0f}",
        ", ".join(kind for kind, _ in types.most_common()),
        reasons.most_common(1)[0][0] if reasons else "",
    )


def _failures(records: list[Record]) -> list[str]:
    rows = [(row["zoo"], row["name"], row.get("stage", ""), row["error"]) for row in records if "error" in row]
    low = [
        (row["name"], f"{row['share']:.2%}", f"{row['in_graph']:.2%}", row["traced"], "; ".join(row["reasons"]))
        for row in records
        if "error" not in row and below_bar(row)
    ]
    lines = []
    if rows:
        lines += ["## Failures", "", *_table(("zoo", "network", "stage", "error"), rows), ""]
    if low:
        title = ["## Classifiers of timm below 99 %", ""]
        lines += [*title, *_table(("network", "predicted", "in graph", "traced", "reasons"), low), ""]
    return lines


def _by_reason(records: list[Record]) -> Iterable[tuple[Any, ...]]:
    networks: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    such_as: dict[str, str] = {}
    for row in records:
        for reason, size in row.get("reasons", {}).items():
            networks[reason] += 1
            sizes[reason] += size
            name = next(name for name, (_, why) in row["left_alone"].items() if why == reason)
            such_as.setdefault(reason, f"{row['name']}: `{name}`")
    return [(reason, networks[reason], f"{size:,}", such_as[reason]) for reason, size in sizes.most_common()]


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    def line(cells: Iterable[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(header), "|" + " --- |" * len(header), *map(line, rows)]


def _versions() -> str:
    packages = ("torch", "timm", "torchvision")
    return ", ".join(f"{package} {version(package).partition('+')[0]}" for package in packages)
