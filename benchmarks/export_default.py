"""Write the embedded default from a training run and its evaluation.

    python benchmarks/export_default.py --run runs/default --results results.json --out hub_configs/default

`--run` is the folder of the last leg, made by `ghn-init train`; `default_legs.json` has all legs, and `--add-leg` puts
this one there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ghn_init.checkpoints import CheckpointInfo, load, read_info, save
from ghn_init.training.run_folder import read_settings

LEGS = Path(__file__).with_name("default_legs.json")


def leg(run: Path, number: int) -> dict[str, Any]:
    """What the leg in a run's folder was."""
    done = read_info(run / "ghn" / "config.json").training
    settings = read_settings(run)
    assert settings is not None
    return {
        "leg": number,
        "steps": done["steps"],
        "architecture_steps": done["architecture_steps"],
        "wall_minutes": round(done["seconds"] / 60),
        "processes": settings["processes"],
        **{name: value for name, value in settings["training"].items() if name != "steps"},
    }


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="what eval_default.py wrote")
    parser.add_argument("--add-leg", action="store_true", help="add the run to default_legs.json first")
    parser.add_argument("--out", type=Path, default=Path("hub_configs/default"))
    args = parser.parse_args()
    legs = json.loads(LEGS.read_text())
    if args.add_leg:
        legs.append(leg(args.run, len(legs) + 1))
        LEGS.write_text(json.dumps(legs, indent=1) + "\n")
    found = json.loads(args.results.read_text())
    info = CheckpointInfo(
        name="default",
        description="The embedded default: a small GHN-3 trained on CIFAR-10.",
        license="mit",
        training={
            "data": "CIFAR-10's train set but 5,000 images for validation; random shifts of up to 4 pixels and flips",
            "normalisation": "mean 0.4914, 0.4822, 0.4465; standard deviation 0.2470, 0.2435, 0.2616",
            "architectures": "DeepNets-1M's rules (4 to 12 cells, width 16 to 32), plain and residual networks, and in "
            "the last leg timm's models at small width and depth",
            "images": "32 a network and step, 16 x 16; 32 x 32 for networks that take one size only",
            "architecture_steps": sum(part["architecture_steps"] for part in legs),
            "hardware": "2 CPU cores, shared with other work",
            "wall_minutes": sum(part["wall_minutes"] for part in legs),
            "command": "ghn-init train --data train.parquet --out run --preset default (legs: benchmarks/training.md)",
        },
        evaluation={
            "task": "CIFAR-10 test images, predicted weights, no training, batch statistics in batch norm",
            f"unseen_architectures_{found['networks']}": {
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
        },
    )
    written = save(load(str(args.run / "ghn")), args.out, info, overwrite=True)
    print(f"{args.out}: {written.size} bytes of weights")


if __name__ == "__main__":
    main()
