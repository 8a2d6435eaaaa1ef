"""Write the embedded default from a training run and its evaluation.

    ghn-init eval --ghn runs/default/ghn --data test.parquet --split test --n 500 --images 128 --out results/test
    ghn-init eval --ghn runs/default/ghn --data test.parquet --split predefined --model torchvision:resnet18 \\
        --images 2048 --out results/known
    python benchmarks/export_default.py --run runs/default --results results/test results/known

`--run` are the folders of the newest legs, made by `ghn-init train`; `default_legs.json` has all legs, and `--add-legs`
puts these there. The weights are those of the last leg, or, as `--ghn`, what `benchmarks/averaging.py` wrote. This GHN
has no statistics of familiarity yet: `benchmarks/ood.py` makes them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
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


def legs_where(legs: list[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> str:
    """The numbers of the legs of which something holds."""
    return "legs " + ", ".join(str(part["leg"]) for part in legs if holds(part))


def results(folder: Path) -> dict[str, Any]:
    """What an evaluation found, a line for each column of the papers' table."""
    whole = json.loads((folder / "results.json").read_text())
    shown = {"test_images_each": whole["images_each"]} if whole["images_each"] else {}
    lines: dict[str, Any] = {}
    for name, column in whole["columns"].items():
        found = column["predicted"]
        if found["networks"] == 1:
            lines[name] = {"top1": round(found["mean"], 4), **shown}
            continue
        rounded = {key: round(found[key], 4) for key in ("mean", "standard_error", "best", "worst")}
        lines[f"split_{name}"] = {"networks": found["networks"], **rounded, **shown}
    return lines


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, nargs="+", required=True)
    parser.add_argument("--ghn", type=Path, help="folder of the averaged GHN")
    parser.add_argument("--averaged", help="for the card: what that is the mean of")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="folders that `ghn-init eval` wrote")
    parser.add_argument("--add-legs", action="store_true", help="add the runs to default_legs.json first")
    parser.add_argument("--out", type=Path, default=Path("hub_configs/default"))
    args = parser.parse_args()
    legs = json.loads(LEGS.read_text())
    if args.add_legs:
        legs += [leg(run, number) for number, run in enumerate(args.run, len(legs) + 1)]
        LEGS.write_text(json.dumps(legs, indent=1) + "\n")
    unaugmented = legs_where(legs, lambda part: part.get("augment") == "none")
    with_timm = legs_where(legs, lambda part: part.get("architectures", {}).get("timm", 0) > 0)
    last = read_settings(args.run[-1])
    if bool(args.ghn) != bool(args.averaged):
        parser.error("--ghn and --averaged belong together")
    assert last is not None
    info = CheckpointInfo(
        name="default",
        description="The embedded default: a small GHN-3 trained on CIFAR-10.",
        license="mit",
        training={
            "data": {
                **last["data"],
                "source": "CIFAR-10's train set; 5,000 of the images kept for validation, others in each leg",
            },
            "augmentation": f"random shifts of up to 4 pixels and flips; none in {unaugmented}",
            "architectures": "DeepNets-1M's rules (4 to 12 cells, width 16 to 32), plain and residual networks, and "
            f"timm's models at small width and depth in {with_timm}, varied in other ways as well from leg 16 on",
            "images": "32 a network and step, 16 x 16; 32 x 32 for networks that take one size only",
            **({"averaged": args.averaged} if args.averaged else {}),
            "architecture_steps": sum(part["architecture_steps"] for part in legs),
            "hardware": "2 CPU cores, shared with other work",
            "wall_minutes": sum(part["wall_minutes"] for part in legs),
            "command": "ghn-init train --data train.parquet --out run --preset default (legs: benchmarks/training.md)",
        },
        evaluation={
            "data": "cifar10",
            "task": "CIFAR-10's test images, predicted weights, no training, batch statistics in batch norm",
            **{name: value for folder in args.results for name, value in results(folder).items()},
            "command": "ghn-init eval --ghn FOLDER --data test.parquet, as in benchmarks/export_default.py",
        },
    )
    written = save(load(str(args.ghn or args.run[-1] / "ghn")), args.out, info, overwrite=True)
    print(f"{args.out}: {written.size} bytes of weights")


if __name__ == "__main__":
    main()
