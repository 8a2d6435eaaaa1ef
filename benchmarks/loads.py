"""How well the load of an architecture, which meta-batches are shared out by, foretells the time of a training step.

    python benchmarks/loads.py        # prints the last table of trainer_speed.md, and the best fit of the constants

For some of DeepNets and of timm's families: seconds that one core takes for a step of each network on 32 images (after
a first one), and the share of two processes' time in which one waits for the other where meta-batches are shared out by
multiply-adds, by loads, and by the seconds themselves. Seconds are the processor's own, so that other work on the
machine disturbs them little. The fit is that of the least squared relative errors over all networks together, by
constants that are not negative: those of `ghn_init.deepnets.fragment` and `ghn_init.deepnets.timm_models`, rounded.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from ghn_init.allocator import keep_freed_memory
from ghn_init.deepnets import AnyArchitecture, TimmArchitecture, sample, timm_architecture
from ghn_init.deepnets.cells import plan
from ghn_init.deepnets.fragment import PACE
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.entries import make_entry
from ghn_init.training.meta_batches import balanced
from ghn_init.training.network_step import network_step

COLUMNS = ("networks", "seconds", "error by cost", "error by load", "waiting by cost", "by load", "by seconds")
KINDS = (*PACE, "timm", "timm's start")
IMAGES, CLASSES = 32, 10
NETWORKS, META_BATCH = 48, 12

#: What is measured: images' side, and the architecture of an index.
WORK: dict[str, tuple[int, Callable[[int], AnyArchitecture]]] = {
    "test split": (32, lambda index: sample("test", index)),
    "train split": (32, lambda index: sample("train", index)),
    "train split, width 16, 16 x 16 images": (16, lambda index: sample("train", index).with_width(16)),
    "timm, 32 x 32 images": (32, timm_architecture),
}


def seconds(architecture: AnyArchitecture, side: int, ghn: GHN) -> float:
    """Of a step of the network."""
    entry = make_entry(architecture, side, config=ghn.config)
    with torch.no_grad():
        predicted = ghn(entry.graph)
    images, labels = torch.randn(IMAGES, 3, side, side), torch.randint(CLASSES, (IMAGES,))
    spent = []
    for _ in range(2):
        started = time.process_time()
        network_step(entry, predicted, images, labels, clip=1.0)
        spent.append(time.process_time() - started)
    return spent[-1]


def waiting(found: Sequence[float], by: Sequence[float]) -> float:
    """Share of two processes' time in which one waits, over all meta-batches."""
    spent = 0.0
    for first in range(0, len(found), META_BATCH):
        shares = balanced(by[first : first + META_BATCH], 2)
        spent += 2 * max(sum(found[first + place] for place in share) for share in shares)
    return 1 - sum(found) / spent


def error(found: Sequence[float], by: Sequence[float]) -> float:
    """Median relative error where the seconds are taken as proportional to `by`."""
    ratios = [value / one for value, one in zip(found, by, strict=True)]
    pace = statistics.median(ratios)
    return statistics.median(abs(pace / ratio - 1) for ratio in ratios)


def amounts(architecture: AnyArchitecture, side: int) -> list[float]:
    """What the load is a weighted sum of: `KINDS`."""
    if isinstance(architecture, TimmArchitecture):
        return [0.0] * len(PACE) + [architecture.cost(side), 1.0]
    return [*plan(architecture, image_size=side).amounts.values(), 0.0, 0.0]


def fit(work: Sequence[tuple[AnyArchitecture, int]], found: Sequence[float]) -> dict[str, float]:
    """The constants, in multiply-adds of a plain convolution."""
    relative = np.array([amounts(*one) for one in work]) / np.array(found)[:, None]
    scale = relative.max(axis=0)
    weights = nnls(relative / scale, np.ones(len(relative)))[0] / scale
    return dict(zip(KINDS, weights / weights[KINDS.index("plain")], strict=True))


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=32, layers=1, max_shape=(64, 64, 11, 11), num_classes=10)).eval()
    table, console = Table(*COLUMNS, box=box.MARKDOWN), Console(width=140)
    all_work: list[tuple[AnyArchitecture, int]] = []
    all_found: list[float] = []
    for name, (side, make) in WORK.items():
        architectures = [make(index) for index in range(NETWORKS)]
        found = [seconds(one, side, ghn) for one in architectures]
        all_work += [(one, side) for one in architectures]
        all_found += found
        loads, costs = [one.load(side) for one in architectures], [one.cost(side) for one in architectures]
        errors = [error(found, by) for by in (costs, loads)]
        waits = [waiting(found, by) for by in (costs, loads, found)]
        table.add_row(name, f"{statistics.median(found):.2f}", *(f"{share:.0%}" for share in errors + waits))
    console.print(table)
    console.print("fit:", ", ".join(f"{kind} {value:.3g}" for kind, value in fit(all_work, all_found).items()))


if __name__ == "__main__":
    main()
