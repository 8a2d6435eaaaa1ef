"""Trains a pool of small networks of the split `search` on CIFAR-10, for `benchmarks/ranking.py` and `properties.py`.

    python benchmarks/pool.py --data cifar10 --out benchmarks/ranking/pool.jsonl --networks 64

The networks are the first of the split, at width 16, whose graphs have few nodes and that need few multiply-adds (what
a CPU core can train). All are trained alike, on images of 16 x 16; a stopped run goes on where it was.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from pool_networks import PoolNetwork, append_row
from rich.progress import track
from torch import nn

from ghn_init.comparison import CompareConfig
from ghn_init.comparison.training import train
from ghn_init.evaluation import score
from ghn_init.images import AUGMENTS, ImageSet, draw_batch, load_images
from ghn_init.ranking import flops

IMAGE_SIZE, CLASSES = 16, 10
MOST_NODES, MOST_MULTIPLY_ADDS = 150, 5_000_000
LEARNING_RATE = 3e-3
RECIPE = CompareConfig(optimiser="adamw", batch_size=32, augment="shift", warmup=0.05, image_size=IMAGE_SIZE)
#: Step times are the smallest of so many, since other work may run beside them.
TIMED = 10
#: Test images for the accuracy at the end.
LAST_IMAGES = 5000


def step_seconds(network: nn.Module) -> float:
    """Of a forward and backward pass of a batch."""
    images = torch.randn(RECIPE.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(TIMED):
        started = time.perf_counter()
        network(images).sum().backward()
        times.append(time.perf_counter() - started)
    network.zero_grad()
    return min(times)


def trained(index: int, network: nn.Module, train_images: ImageSet, test_images: ImageSet, steps: int) -> list[list]:
    """The accuracy on test images after each of some numbers of steps, with batch statistics."""
    generator = torch.Generator().manual_seed(index)
    augment = AUGMENTS[RECIPE.augment]
    batches = (
        draw_batch(train_images, RECIPE.batch_size, generator, size=IMAGE_SIZE, augment=augment) for _ in range(steps)
    )
    curve: list[list] = []

    def measure(step: int, count: int = 1000) -> None:
        found = score(network, test_images, indices=torch.arange(count), size=IMAGE_SIZE)
        curve.append([step, round(found.top1, 4)])

    moments = [steps // 32, steps // 16, steps // 8, steps // 4, steps // 2]
    failed_at = train(network, batches, steps, LEARNING_RATE, RECIPE, dict.fromkeys(moments, measure))
    if failed_at is not None:
        return curve
    measure(steps, LAST_IMAGES)
    return curve


def main(
    data: Annotated[str, typer.Option(help="folder with CIFAR-10's parquet files")],
    out: Annotated[Path, typer.Option(help="file of results, one line a network")],
    networks: Annotated[int, typer.Option(help="how many")] = 64,
    steps: Annotated[int, typer.Option(help="of training")] = 512,
) -> None:
    """Trains the pool."""
    torch.set_num_threads(1)
    train_images = load_images(data, "train", image_size=32)
    test_images = load_images(data, "test", image_size=32)
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    index = done[-1]["index"] + 1 if done else 0
    for _ in track(range(len(done), networks)):
        while True:
            subject = PoolNetwork("search", index)
            skeleton = subject.skeleton(CLASSES, IMAGE_SIZE)
            cost = flops(skeleton.network, torch.empty(1, 3, IMAGE_SIZE, IMAGE_SIZE))
            if len(skeleton.graph) <= MOST_NODES and cost <= MOST_MULTIPLY_ADDS:
                break
            index += 1
        torch.manual_seed(index)
        network = subject.build(CLASSES, IMAGE_SIZE).train().to(memory_format=torch.channels_last)
        seconds = step_seconds(network)
        curve = trained(index, network, train_images, test_images, steps)
        row = {
            "name": subject.name,
            "split": subject.split,
            "index": index,
            "width": subject.width,
            "image_size": IMAGE_SIZE,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "flops": cost,
            "steps": steps,
            "curve": curve,
            "top1": curve[-1][1],
            "step_seconds": round(seconds, 5),
        }
        append_row(out, row)
        index += 1


if __name__ == "__main__":
    typer.run(main)
