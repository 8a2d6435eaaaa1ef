"""Train the embedded default GHN on CIFAR-10.

    python benchmarks/train_default.py --data train.parquet --out runs/default

Started again with the same `--out`, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

import torch
import torch.distributed as dist

from ghn_init.deepnets import sample
from ghn_init.evaluation import Summary, accuracy
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.config import TrainConfig
from ghn_init.training.data import read_parquet
from ghn_init.training.launch import run_processes
from ghn_init.training.pool import load_pool, make_entry, save_pool, training_architectures
from ghn_init.training.trainer import Trainer

#: Training images kept out for validation, and networks to validate on.
HELD_OUT, VALIDATION = 5000, 20
#: The settings that the default was trained with, where they differ from `TrainConfig`'s.
DEFAULTS = {
    "steps": 1800,
    "meta_batch": 12,
    "lr": 3e-3,
    "matrix_lr": 2e-3,
    "warmup": 60,
    "cost_power": 0.6,
    "ema": 0.99,
}


def main() -> None:
    """Read the command line, prepare the pool, start the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="parquet file of the training images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--pool", type=Path, help="file of training architectures; made if missing")
    parser.add_argument("--networks", type=int, default=600, help="architectures drawn for a new pool")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 16, 24])
    parser.add_argument("--max-cells", type=int, default=9)
    parser.add_argument("--max-nodes", type=int, default=130, help="leave larger graphs out of the pool")
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument(
        "--fixed-image-size", type=int, default=32, help="for networks with attention or without global pooling"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--hid", type=int, default=64)
    parser.add_argument("--max-channels", type=int, default=32)
    parser.add_argument("--decoder-gain", type=float, default=5.0, help="factor on the initial last layers")
    parser.add_argument("--init", type=Path, help="state.pt whose averaged weights to start from")
    parser.add_argument("--validate-every", type=int, default=500, help="steps")
    for field in dataclasses.fields(TrainConfig):
        kind = {"int": int, "float": float, "float | None": float}[str(field.type)]
        default = DEFAULTS.get(field.name, field.default)
        parser.add_argument("--" + field.name.replace("_", "-"), type=kind, default=default)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pool = args.pool or args.out / "pool.jsonl"
    if not pool.exists():
        made = training_architectures(args.networks, args.widths, max_cells=args.max_cells)
        entries = [
            make_entry(architecture, args.fixed_image_size if architecture.fixed_resolution else args.image_size)
            for architecture in made
        ]
        save_pool((entry for entry in entries if len(entry.graph) <= args.max_nodes), pool)
    args.pool = pool
    run_processes(args.processes, train, args)


def train(args: argparse.Namespace) -> None:
    """What each process does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    config = TrainConfig(**{field.name: getattr(args, field.name) for field in dataclasses.fields(TrainConfig)})
    torch.manual_seed(config.seed)
    channels = args.max_channels
    ghn = GHN(GHNConfig(max_shape=(channels, channels, 11, 11), hid=args.hid))
    with torch.no_grad():
        for layer in (ghn.decoder.weights, ghn.decoder.classes, ghn.vectors.out):
            layer.weight *= args.decoder_gain
    images, held_out = read_parquet(args.data).split(HELD_OUT)
    trainer = Trainer(ghn, load_pool(args.pool), images, config, args.out)
    if args.init is not None:
        trainer.start_from(args.init)
    if (args.out / "state.pt").exists():
        trainer.resume(args.out / "state.pt")
    if trainer.rank == 0:
        (args.out / "arguments.json").write_text(json.dumps(vars(args), indent=1, default=str))
    networks = [make_entry(sample("val", index), 32) for index in range(trainer.rank, VALIDATION, trainer.world)]

    def watch(trainer: Trainer) -> None:
        if trainer.step % args.validate_every:
            return
        ghn = trainer.averaged.eval()
        with torch.no_grad():
            mine = [
                accuracy(entry.skeleton, held_out.subset(slice(256)), parameters=ghn(entry.graph)) for entry in networks
            ]
        shares: list[list[float]] = [mine] * trainer.world
        if trainer.world > 1:
            dist.all_gather_object(shares, mine)
        if trainer.rank == 0:
            summary = Summary(tuple(result for share in shares for result in share))
            with (args.out / "validation.jsonl").open("a") as file:
                file.write(json.dumps({"step": trainer.step, **summary.to_dict()}) + "\n")
            logging.info("step %d: validation %.4f +- %.4f", trainer.step, summary.mean, summary.standard_error)

    trainer.run(log_every=25, save_every=100, watch=watch)


if __name__ == "__main__":
    main()
