"""Rates at which architectures are sampled, and their graphs, shortest paths and skeletons made.

    python benchmarks/deepnets.py [--count 300] [--split train] [--processes 2]

Each process works on its own share of the indices, on one thread, once the first `WARM` of them have filled what is
cached between architectures: the fragments and prototypes of their operations. Processor time says what a core does
that is not shared with other work; "elapsed" is by the clock.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from ghn_init.deepnets import sample
from ghn_init.graph import trace
from ghn_init.rendering import as_text

#: Architectures before those that are timed.
WARM = 100
#: How much less of what is slow is done.
TRACED_SHARE = 10


def _skeleton(architecture: Any) -> torch.nn.Module:
    with torch.device("meta"):
        module: torch.nn.Module = architecture.build()
    return module


def _work(split: str) -> dict[str, Callable[[int], Any]]:
    """What is timed for an index."""
    return {
        "sample": lambda index: sample(split, index),
        "sample, graph": lambda index: sample(split, index).graph(),
        "sample, graph, shortest paths": lambda index: sample(split, index).graph().distances,
        "sample, skeleton on the meta device": lambda index: _skeleton(sample(split, index)),
        "sample, skeleton, trace": lambda index: trace(_skeleton(sample(split, index))),
    }


def _seconds(task: tuple[str, str, range]) -> tuple[float, float]:
    """Processor time and elapsed time."""
    split, name, indices = task
    torch.set_num_threads(1)
    work = _work(split)[name]
    for index in range(min(WARM, len(indices))):
        work(indices.stop + index)
    busy, start = time.process_time(), time.perf_counter()
    for index in indices:
        work(index)
    return time.process_time() - busy, time.perf_counter() - start


def _rates(name: str, split: str, count: int, processes: int, pool: Any) -> tuple[float, float]:
    """Architectures of all processes together for each second of processor time of one, and for each that elapses."""
    share = count // processes
    tasks = [(split, name, range(place * share, (place + 1) * share)) for place in range(processes)]
    spent = [_seconds(tasks[0])] if processes == 1 else pool.map(_seconds, tasks, chunksize=1)
    return sum(share / busy for busy, _ in spent), sum(share / elapsed for _, elapsed in spent)


def main(
    count: Annotated[int, typer.Option(help="Architectures of each measurement.")] = 300,
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    processes: Annotated[int, typer.Option(help="Processes, beside one.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Write the table to this file as well.")] = None,
) -> None:
    """Print architectures a second."""
    graphs = [sample(split, index).graph() for index in range(count)]
    nodes = sum(len(graph) for graph in graphs) / count
    table = Table(title=f"{split}: {count} architectures of {nodes:.0f} nodes in the mean", title_justify="left")
    table.add_column("architectures a second")
    for number in (1, processes):
        table.add_column(f"{number} process{'es' if number > 1 else ''}", justify="right")
        table.add_column("elapsed", justify="right")
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for name in _work(split):
            traced = "trace" in name
            number = max(processes, count // TRACED_SHARE) if traced else count
            rates = [rate for n in (1, processes) for rate in _rates(name, split, number, n, pool)]
            table.add_row(name, *(f"{rate:,.0f}" for rate in rates))
    Console().print(table)
    Console().print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if out is not None:
        out.write_text(as_text(table))


if __name__ == "__main__":
    typer.run(main)
