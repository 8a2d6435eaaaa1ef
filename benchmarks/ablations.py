"""What pays when a GHN is trained with little compute: variants of one short run, each on the same budget.

    python benchmarks/ablations.py --data train.parquet --out ablations [--architecture-steps 900]
    python benchmarks/ablations.py … --only "low-rank decoder" "gated graph network"
    python benchmarks/ablations.py … --teacher teacher.safetensors --only …   # from benchmarks/teacher.py

Every variant starts from random weights, sees the same number of architecture-steps, and is scored by its averaged
weights on the same unseen networks (val split, width 16) and validation images. Small networks, 16 x 16 images.
A variant that is in the results already is not run again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from teacher import HELD_OUT, taught

from ghn_init.deepnets import sample
from ghn_init.images import load_images
from ghn_init.rendering import as_text
from ghn_init.training.entries import make_entry
from ghn_init.training.group import Group
from ghn_init.training.presets import PRESETS
from ghn_init.training.run import new_ghn
from ghn_init.training.trainer import Trainer
from ghn_init.training.validation import Validation

#: What all variants have: the default preset, made smaller.
GHN = {"hid": 32, "layers": 3, "max_shape": (16, 16, 11, 11)}
TRAINING = {"meta_batch": 12, "batch_size": 32, "warmup": 10, "ema": 0.95, "seed": 1, "cooldown": 0.4}
ARCHITECTURES = {"count": 300, "widths": (16,), "max_cells": 8, "cost_power": 0.6, "curriculum": 4.0}

#: Name, and what differs: settings of the GHN, the training, the architectures.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "as the default preset": ({}, {}, {}),
    "AdamW for the hidden matrices too": ({}, {"matrix_lr": 0.0}, {}),
    "last layers not larger at the start": ({}, {"decoder_gain": 1.0}, {}),
    "low-rank decoder": ({"decoder": "lowrank", "rank": 8, "max_shape": (512, 512, 11, 11)}, {}, {}),
    "gated graph network": ({"gnn": "gatedgnn"}, {}, {}),
    "meta-batch 6, twice the steps": ({}, {"meta_batch": 6}, {}),
    "no augmentation": ({}, {"augment": "none"}, {}),
    "no augmentation, a teacher's probabilities": ({}, {"augment": "none"}, {}),
    "no augmentation, a teacher's at temperature 2": ({}, {"augment": "none"}, {}),
    "label smoothing 0.1": ({}, {"label_smoothing": 0.1}, {}),
    "all networks alike, cheap ones not preferred": ({}, {}, {"cost_power": 0.0}),
    "no classic networks": ({}, {}, {"classic": 0.0}),
}
#: Those whose labels are a teacher's, with its temperature.
TAUGHT = {"no augmentation, a teacher's probabilities": 1.0, "no augmentation, a teacher's at temperature 2": 2.0}
NETWORKS, IMAGES = 24, 256


def run(name: str, data: Path, budget: int, teacher: Path | None) -> dict[str, Any]:
    """Train and score one variant."""
    ghn, training, architectures = VARIANTS[name]
    meta_batch = {**TRAINING, **training}["meta_batch"]
    ghn_config, config = PRESETS["default"].configs(
        {**GHN, **ghn},
        {**TRAINING, **training, "steps": budget // meta_batch},
        {**ARCHITECTURES, **architectures},
    )
    images, held_out = load_images(data).split(HELD_OUT)
    if teacher is not None and name in TAUGHT:
        images = taught(images, teacher, TAUGHT[name])
    trainer = Trainer(new_ghn(ghn_config, config), images, config)
    losses: list[tuple[float, float]] = []

    def after(trainer: Trainer, record: Any) -> bool:
        if record is not None:
            losses.append((record.loss, record.accuracy))
        return False

    trainer.run(log_every=max(1, config.steps // 4), after=after)
    entries = [make_entry(sample("val", index).with_width(16), 32, config=ghn_config) for index in range(NETWORKS)]
    shown = held_out.subset(slice(IMAGES))
    summary = Validation(entries, shown, Group())(trainer.averaged.eval())
    return {
        "variant": name,
        "parameters": sum(parameter.numel() for parameter in trainer.ghn.parameters()),
        "architecture_steps": config.steps * config.meta_batch,
        "loss": losses[-1][0],
        "accuracy": losses[-1][1],
        "unseen": summary.mean,
        "standard_error": summary.standard_error,
        "seconds": trainer.seconds,
    }


def table(found: list[dict[str, Any]]) -> Table:
    """The results as the table of training.md."""
    made = Table("variant", "GHN's parameters", "loss", "accuracy", "unseen networks", "s")
    for row in found:
        made.add_row(
            row["variant"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['loss']:.3f}",
            f"{100 * row['accuracy']:.1f} %",
            f"{100 * row['unseen']:.1f} +- {100 * row['standard_error']:.1f} %",
            f"{row['seconds']:.0f}",
        )
    return made


def main() -> None:
    """Read the command line, run what is missing, show all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--architecture-steps", type=int, default=900)
    parser.add_argument("--teacher", type=Path, help="what benchmarks/teacher.py wrote; needed by variants with one")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS))
    args = parser.parse_args()
    if args.teacher is None and (needing := [name for name in args.only or () if name in TAUGHT]):
        parser.error(f"{needing[0]!r} needs --teacher")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for name in args.only or (name for name in VARIANTS if args.teacher or name not in TAUGHT):
        if name in {row["variant"] for row in found}:
            continue
        found.append(run(name, args.data, args.architecture_steps, args.teacher))
        with path.open("a") as file:
            file.write(json.dumps(found[-1]) + "\n")
    (args.out / "table.txt").write_text(as_text(table(found)))
    Console().print(table(found))


if __name__ == "__main__":
    main()
