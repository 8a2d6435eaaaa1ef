"""What computing equal channels once (`ghn_init.merging`) saves of a training step.

    python benchmarks/merging.py       # prints the table of trainer_speed.md, in some ten minutes

For each kind of network: how much of its convolutions' numbers repeats, and the seconds of one core for a step with all
channels and with equal ones merged (the least of `--repeats`, the processor's own, so that other work on the machine
disturbs them little), summed over the networks. "gains" are the least, the median and the largest of a network's. All
networks are merged here whose weights repeat, whatever their load; "worthwhile" is how many of them the trainer would
merge (`ghn_init.training.entries.WORTHWHILE`), "then" the gain over all networks when only they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from ghn_init.allocator import keep_freed_memory
from ghn_init.deepnets import AnyArchitecture, sample, timm_architecture
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training import entries
from ghn_init.training.entries import Entry, make_entry
from ghn_init.training.network_step import network_step

COLUMNS = ("networks", "blocks", "images", "all channels, s", "merged, s", "gain", "gains", "worthwhile", "then")
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Work:
    """Networks of one kind, a GHN's largest blocks, and the images of a step."""

    name: str
    make: Callable[[int], AnyArchitecture]
    block: int
    images: int
    side: int


WORK = (
    Work("test split", lambda index: sample("test", index), 64, 64, 32),
    Work("train split, width 96", lambda index: sample("train", index).with_width(96), 32, 32, 32),
    Work("train split, width 64", lambda index: sample("train", index).with_width(64), 32, 32, 32),
    Work("train split, width 32", lambda index: sample("train", index).with_width(32), 32, 32, 32),
    Work("train split, width 32", lambda index: sample("train", index).with_width(32), 32, 32, 16),
    Work("train split, width 16", lambda index: sample("train", index).with_width(16), 32, 32, 16),
    Work("timm", timm_architecture, 32, 32, 32),
)


def made(architecture: AnyArchitecture, side: int, config: GHNConfig) -> tuple[Entry, bool]:
    """The network with all its periods, and whether the trainer would use them."""
    worthwhile = bool(make_entry(architecture, side, config=config).periods)
    with mock.patch.object(entries, "WORTHWHILE", 0.0):
        return make_entry(architecture, side, config=config), worthwhile


def seconds(entry: Entry, predicted: Any, work: Work, repeats: int) -> float:
    """The least of a step."""
    images, labels = torch.randn(work.images, 3, work.side, work.side), torch.randint(CLASSES, (work.images,))
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        network_step(entry, predicted, images, labels, clip=1.0)
        spent.append(time.process_time() - started)
    return min(spent)


def row(work: Work, networks: int, repeats: int) -> list[str]:
    """Of the table."""
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(hid=16, layers=1, heads=2, max_shape=(work.block, work.block, 11, 11), num_classes=CLASSES))
    plain, merged, then, worthwhile = [], [], [], 0
    for index in tqdm(range(networks), desc=work.name, leave=False):
        architecture = work.make(index)
        if architecture.fixed_resolution and work.side != 32:
            continue
        entry, worth = made(architecture, work.side, ghn.config)
        with torch.no_grad():
            predicted = ghn(entry.graph)
        plain.append(seconds(dataclasses.replace(entry, periods={}), predicted, work, repeats))
        merged.append(seconds(entry, predicted, work, repeats) if entry.periods else plain[-1])
        then.append(merged[-1] if worth else plain[-1])
        worthwhile += worth
    gains = [before / after for before, after in zip(plain, merged, strict=True)]
    return [
        work.name,
        f"{work.block} x {work.block}",
        f"{work.images} of {work.side} x {work.side}",
        f"{sum(plain):.1f}",
        f"{sum(merged):.1f}",
        f"{sum(plain) / sum(merged):.2f}",
        f"{min(gains):.2f} / {statistics.median(gains):.2f} / {max(gains):.2f}",
        f"{worthwhile} of {len(plain)}",
        f"{sum(plain) / sum(then):.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=24, help="of each kind")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    table = Table(*COLUMNS, box=box.MARKDOWN)
    for work in WORK:
        table.add_row(*row(work, options.networks, options.repeats))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
