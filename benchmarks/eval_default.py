"""Accuracy on CIFAR-10 of networks with the weights that a GHN predicts, without any training of these networks.

    python benchmarks/eval_default.py --data test.parquet --ghn hub_configs/default --out results.json

The same as `ghn-init eval`, with the networks and images of `default_results.json`: 100 networks of the test split,
each with its own block of test images, and torchvision's ResNet-18 and ResNet-50 for small images on more of them.
`--ghn` is a checkpoint's folder, or the `state.pt` of a training run (its averaged weights are taken). Results are kept
in a folder beside the file, so that it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ghn_init.checkpoints import load
from ghn_init.evaluation import Report, Result, Setup, evaluate_networks, named_networks, split_networks, tables
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.checkpoint import load_state
from ghn_init.training.data import CIFAR10_MEAN, CIFAR10_STD, read_parquet

RESNETS = ("resnet18", "resnet50")


def load_ghn(path: Path) -> GHN:
    """The GHN of a checkpoint folder or of a training run's state."""
    if path.suffix == ".pt":
        state = load_state(path)
        ghn = GHN(GHNConfig.from_dict(state["ghn_config"]))
        prefix = "module."
        weights = {key.removeprefix(prefix): value for key, value in state["average"].items() if key.startswith(prefix)}
        ghn.load_state_dict(weights)
        return ghn.eval()
    return load(str(path))


def results_dict(report: Report, split: str, images: int, resnet_images: int) -> dict[str, Any]:
    """What `export_default.py` reads."""
    summary = report.summary(split, "predicted")
    assert summary is not None
    single = {result.column.removeprefix("torchvision:"): result.top1 for result in report.results}
    return {
        "split": split,
        **summary.to_dict(),
        **{name: single[name] for name in RESNETS},
        "images": images,
        "resnet_images": resnet_images,
    }


def main() -> None:
    """Read the command line, evaluate, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="parquet file of the test images")
    parser.add_argument("--ghn", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--images", type=int, default=320, help="test images a network: each has a block of its own")
    parser.add_argument("--resnet-images", type=int, default=2048, help="test images for the ResNets")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(stderr=True)
    images = dataclasses.replace(read_parquet(args.data), mean=CIFAR10_MEAN, std=CIFAR10_STD)
    setup = Setup(load_ghn(args.ghn), images, images_each=args.images)
    resnet_setup = dataclasses.replace(setup, images_each=args.resnet_images)
    resnets = named_networks(f"torchvision:{name}" for name in RESNETS)
    folder = args.out.with_suffix("")

    def watch(done: int, total: int, result: Result) -> None:
        console.print(f"{done}/{total} {result.name} {result.top1} {result.message}", highlight=False)

    options: dict[str, Any] = {"processes": args.processes, "watch": watch}
    found = evaluate_networks(resnet_setup, resnets, out=folder / "resnets", **options)
    networks = split_networks([args.split], args.networks)
    found = [*evaluate_networks(setup, networks, out=folder / args.split, **options), *found]
    report = Report(str(args.ghn), "CIFAR-10", images.num_classes, args.images, found)
    args.out.write_text(json.dumps(results_dict(report, args.split, args.images, args.resnet_images), indent=1) + "\n")
    for table in tables(report):
        console.print(table)


if __name__ == "__main__":
    main()
