"""Write the embedded default from a training run and its evaluation.

    python benchmarks/export_default.py --run runs/a runs/b --results results.json --out hub_configs/default

`--run` names the legs of the training in order; the last one's averaged weights are written.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import torch
from eval_default import load_ghn

from ghn_init.checkpoints import CheckpointInfo, save
from ghn_init.training.checkpoint import load_state


def leg(folder: Path) -> dict[str, Any]:
    """What one leg of the training was; a leg that resumed another one's state counts from there."""
    state = load_state(folder / "state.pt")
    with (folder / "log.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= state["step"]]
    arguments = json.loads((folder / "arguments.json").read_text())
    settings = state["train_config"]
    first, last = int(rows[0]["step"]), int(rows[-1]["step"])
    interval = int(rows[1]["step"]) - first
    per_step = (float(rows[-1]["seconds"]) - float(rows[0]["seconds"])) / (last - first)
    steps = last - first + interval
    return {
        "steps": steps,
        "architecture_steps": steps * settings["meta_batch"],
        "wall_minutes": round(steps * per_step / 60),
        "networks": len(Path(arguments["pool"]).read_text().splitlines()),
        "widths": arguments["widths"],
        **{key: value for key, value in settings.items() if key != "steps"},
    }


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, nargs="+", required=True)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("hub_configs/default"))
    args = parser.parse_args()
    ghn = load_ghn(args.run[-1] / "state.pt")
    legs = [leg(folder) for folder in args.run]
    training: dict[str, Any] = {
        "data": "CIFAR-10 train set but 5,000 images kept for validation; random shifts of up to 4 pixels and flips",
        "architectures": "random cells in the style of DeepNets-1M (4 to 9 cells), plain and residual networks",
        "images": "32 a network and step, 16 x 16; in the last leg 32 x 32 for networks with attention or a flat head",
        "architecture_steps": sum(part["architecture_steps"] for part in legs),
        "hardware": "2 CPU cores, shared with other work",
        "wall_minutes": sum(part["wall_minutes"] for part in legs),
        "torch": torch.__version__,
        "command": "python benchmarks/train_default.py --data train.parquet --out run (legs: benchmarks/training.md)",
    }
    for number, part in enumerate(legs, 1):
        training[f"leg_{number}"] = part
    evaluation: dict[str, Any] = {"status": "not evaluated yet"}
    if args.results is not None:
        found = json.loads(args.results.read_text())
        evaluation = {
            "task": "CIFAR-10 test images, predicted weights, no training, batch statistics in batch norm",
            f"unseen_random_networks_{found['networks']}": {
                "top1_mean": round(found["mean"], 4),
                "standard_error": round(found["standard_error"], 4),
                "best": round(found["best"], 4),
                "worst": round(found["worst"], 4),
                "test_images_each": found["images"],
            },
            "resnet18_top1": round(found["resnet18"], 4),
            "resnet50_top1": round(found["resnet50"], 4),
            "resnet_test_images": found["resnet_images"],
            "command": "python benchmarks/eval_default.py --data test.parquet --ghn FOLDER --images 320 --out r.json",
        }
    info = CheckpointInfo(
        name="default",
        description="The embedded default: a small GHN-3 trained on CIFAR-10.",
        license="mit",
        training=training,
        evaluation=evaluation,
    )
    written = save(ghn, args.out, info, overwrite=True)
    print(f"{args.out}: {written.size} bytes of weights")


if __name__ == "__main__":
    main()
