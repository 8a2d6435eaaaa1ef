"""Architecture-steps a second of the trainer on CPU, by part, and of the published one on the same work.

    python benchmarks/trainer_speed.py                      # 1x2: one process of two threads, 2x1: two of one
    python benchmarks/trainer_speed.py --reference GHN3_FOLDER PPUDA_FOLDER
    python benchmarks/trainer_speed.py --split train --meta-batches 5 --markdown results.md

The work: architectures 0, 1, ... of a DeepNets split, eight a meta-batch, 64 images of 32 x 32 each, and a GHN-3-T
(hid 64, 3 layers, 8 heads, blocks of 64 x 64 x 11 x 11) with AdamW. Timed is the step: prediction, networks forward and
backward, the GHN's backward, clipping, optimiser. Graphs and networks are built before, and timed apart. The published
trainer (folders that hold the packages ghn3 and ppuda) gets the same genotypes, images of the same size and as many
threads; it goes back through networks and GHN at once. The first meta-batch is run once before, uncounted, as memory is
got and kernels are made in it that a long run gets and makes once. The systems take turns, `--rounds` times; seconds by
part are medians over meta-batches and rounds; "a second" and "times" are of all steps together. Needs a machine with
nothing else to do.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from ghn_init.deepnets import Architecture, sample
from ghn_init.rendering import as_text

SIZES = {"hid": 64, "layers": 3, "heads": 8, "max_shape": (64, 64, 11, 11), "num_classes": 10}
META_BATCH, SIDE, CLASSES = 8, 32, 10
#: Named by processes x threads of each.
SYSTEMS = {
    "published 1x2": ("published", 1, 2),
    "ours 1x2": ("ours", 1, 2),
    "ours 2x1": ("ours", 2, 1),
}


class Clock:
    """Seconds spent in parts of a step."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - started

    def wrap(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return timed

    def finish(self, total: float) -> dict[str, float]:
        """The parts, what is left of `total`, and `total`; then begins anew."""
        parts, self.parts = self.parts, {}
        return {**parts, "rest": total - sum(parts.values()), "step": total}


def architectures(split: str, meta_batches: int) -> list[list[Architecture]]:
    return [[sample(split, META_BATCH * m + i) for i in range(META_BATCH)] for m in range(meta_batches)]


def measure_ours(split: str, meta_batches: int, batch_size: int, out: Path) -> None:
    """One process's part; the first one writes each meta-batch's seconds by part."""
    from ghn_init.allocator import keep_freed_memory
    from ghn_init.hypernet import GHN, GHNConfig
    from ghn_init.images import Images
    from ghn_init.training import meta_step as module
    from ghn_init.training.config import TrainConfig
    from ghn_init.training.entries import make_entry
    from ghn_init.training.group import joined
    from ghn_init.training.meta_batches import balanced
    from ghn_init.training.optim import make_optimisers

    keep_freed_memory()
    torch.manual_seed(0)
    clock, rows = Clock(), []
    ghn = GHN(GHNConfig(**SIZES)).train()  # type: ignore[arg-type]
    pixels = torch.randint(0, 256, (1000, 3, SIDE, SIDE), dtype=torch.uint8)
    images = Images(pixels, torch.randint(CLASSES, (1000,)))
    module.torch.autograd.backward = clock.wrap(torch.autograd.backward, "GHN backward")
    with joined("cpu") as group:
        config = TrainConfig(steps=1, meta_batch=META_BATCH, batch_size=batch_size)
        for work in (architectures(split, 1), architectures(split, meta_batches)):
            step = module.MetaStep(ghn, images, config, group)
            step._predict = clock.wrap(step._predict, "GHN")  # type: ignore[method-assign]
            step._run = clock.wrap(step._run, "networks")  # type: ignore[method-assign]
            optimisers = make_optimisers(ghn, config)
            rows = []
            for index, chosen in enumerate(work):
                started = time.perf_counter()
                mine = balanced([one.load(SIDE) for one in chosen], group.world)[group.rank]
                share = [(place, make_entry(chosen[place], SIDE)) for place in mine]
                built = time.perf_counter() - started
                group.wait()
                started = time.perf_counter()
                step(index, share)
                with clock.part("optimiser"):
                    for optimiser in optimisers:
                        optimiser.step()
                group.wait()
                rows.append({"build": built, **clock.finish(time.perf_counter() - started)})
        if group.first:
            out.write_text(json.dumps(rows))


def stand_in(name: str, **contents: Any) -> None:
    """An empty module in place of a package that the published code imports but does not need here."""
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        sys.modules[name] = module


def published_arguments(architecture: Architecture) -> dict[str, Any]:
    """The arguments of the published network class for one of our architectures."""
    from ppuda.deepnets1m.genotypes import Genotype

    def operations(cell: Any) -> list[tuple[str, int]]:
        return [({"skip": "skip_connect"}.get(name, name), state) for step in cell.steps for name, state in step]

    normal, reduction = architecture.normal, architecture.reduction
    return {
        "genotype": Genotype(
            normal=operations(normal),
            normal_concat=list(normal.output),
            reduce=operations(reduction),
            reduce_concat=list(reduction.output),
        ),
        "n_cells": architecture.n_cells,
        "C": architecture.width,
        "C_mult": architecture.width_mult,
        "stem_type": int(architecture.stem == "imagenet"),
        "stem_pool": architecture.stem_pool,
        "ks": architecture.stem_kernel,
        "norm": "bn" if architecture.batch_norm else None,
        "preproc": architecture.preprocess,
        "glob_avg": architecture.pool_head,
        "fc_layers": architecture.fc_layers,
        "fc_dim": architecture.fc_dim,
        "num_classes": CLASSES,
        "is_imagenet_input": False,
    }


def measure_published(split: str, meta_batches: int, batch_size: int, out: Path) -> None:
    """Seconds by part of the published trainer; its one backward call goes through networks and GHN."""
    stand_in("einops", rearrange=None)
    stand_in("h5py")
    stand_in("psutil", Process=lambda _: None)
    from ghn3.graph import Graph, GraphBatch
    from ghn3.nn import GHN3
    from ghn3.ops import Network, NetworkLight
    from ghn3.trainer import Trainer

    torch.manual_seed(0)
    clock, rows = Clock(), []
    ghn = GHN3(**SIZES, weight_norm=True, ve=True, layernorm=True, debug_level=0)
    trainer = Trainer(
        ghn,
        "adamw",
        {"lr": 1e-3, "weight_decay": 1e-2},
        "cosine",
        n_batches=10**6,
        device="cpu",
        log_interval=10**6,
        predparam_wd=3e-5,
        epochs=10,
    )
    trainer._model.forward = clock.wrap(trainer._model.forward, "GHN")
    torch.Tensor.backward = clock.wrap(torch.Tensor.backward, "backward")  # type: ignore[method-assign]
    trainer._optimizer.step = clock.wrap(trainer._optimizer.step, "optimiser")
    for work in (architectures(split, 1), architectures(split, meta_batches)):
        rows = []
        for chosen in work:
            started = time.perf_counter()
            graphs = []
            for arguments in map(published_arguments, chosen):
                graph = Graph(Network(**arguments), ve_cutoff=50, dense=True, verbose=False)
                graph.net_args, graph.net = arguments, NetworkLight(**arguments)
                graphs.append(graph)
            batch = GraphBatch(graphs, dense=True)
            clock.finish(0)
            built = time.perf_counter() - started
            images, labels = torch.randn(batch_size, 3, SIDE, SIDE), torch.randint(CLASSES, (batch_size,))
            started = time.perf_counter()
            trainer.update(images, labels, graphs=batch)
            found = clock.finish(time.perf_counter() - started)
            rows.append({"build": built, **found, "networks": found["rest"], "rest": 0.0})
    out.write_text(json.dumps(rows))


def run(system: str, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Measures one system in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, __file__, "--measure", system, "--out", str(out), "--split", arguments.split]
        command += ["--meta-batches", str(arguments.meta_batches), "--batch-size", str(arguments.batch_size)]
        command += ["--reference", *arguments.reference]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows: list[dict[str, float]] = json.loads(out.read_text())
        return rows


def measure(arguments: argparse.Namespace) -> None:
    from ghn_init.training.launch import run_processes

    kind, processes, threads = SYSTEMS[arguments.measure]
    sys.path[:0] = arguments.reference
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    work = measure_published if kind == "published" else measure_ours
    run_processes(processes, work, arguments.split, arguments.meta_batches, arguments.batch_size, arguments.out)


def table(results: dict[str, list[dict[str, float]]]) -> Table:
    parts = ["GHN", "networks", "backward", "GHN backward", "optimiser", "rest"]
    found = Table("trainer", "a second", "times", *parts, "step", "building", box=box.MARKDOWN)
    first = None
    for system, rows in results.items():
        median = {part: statistics.median(row.get(part, 0.0) for row in rows) for part in [*parts, "step", "build"]}
        rate = META_BATCH * len(rows) / sum(row["step"] for row in rows)
        first = rate if first is None else first
        seconds = [f"{median[part]:.2f}" if median[part] else "" for part in parts]
        found.add_row(
            system,
            f"{rate:.3f}",
            f"{rate / first:.2f}",
            *seconds,
            f"{median['step']:.2f}",
            f"{median['build']:.2f}",
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", nargs="*", default=[], help="folders that hold the packages ghn3 and ppuda")
    parser.add_argument("--split", default="test", help="DeepNets split of the architectures")
    parser.add_argument("--meta-batches", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--measure", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments)
        return
    console, results = Console(width=140), collections.defaultdict(list)
    systems = [system for system, (kind, _, _) in SYSTEMS.items() if kind == "ours" or arguments.reference]
    for _ in range(arguments.rounds):
        for system in systems:
            rows = run(system, arguments)
            results[system] += rows
            rates = ", ".join(f"{META_BATCH / row['step']:.3f}" for row in rows)
            console.print(f"{system}: {rates} architecture-steps a second")
    console.print(table(results))
    if arguments.markdown:
        about = f"Split {arguments.split}, {arguments.meta_batches} meta-batches, {arguments.batch_size} images, "
        about += f"{arguments.rounds} rounds"
        machine = f"{platform.processor() or platform.machine()}, torch {torch.__version__}"
        text = f"# Speed of the trainer on CPU\n\n{about}; seconds; {machine}.\n\n{as_text(table(results))}\n"
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()
