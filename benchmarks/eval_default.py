"""Accuracy on CIFAR-10 of networks with the weights that a GHN predicts, without any training of these networks.

    python benchmarks/eval_default.py --data test.parquet --ghn hub_configs/default --out results.json

`--ghn` is a checkpoint's folder, or the `state.pt` of a training run (its averaged weights are taken). Batch norms use
the statistics of batches of 64 images, as the papers do. Each network sees its own block of test images, so that the
mean is over all of them. ResNet-18 and ResNet-50 are torchvision's with a first
convolution of 3x3 and stride 1 and without the first pooling, as in the papers.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision
from torch import nn

from ghn_init.deepnets import sample
from ghn_init.evaluation import Summary, accuracy, use_batch_statistics
from ghn_init.graph import trace
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.checkpoint import load_state
from ghn_init.training.data import Images, read_parquet
from ghn_init.training.launch import run_processes
from ghn_init.training.pool import build

logger = logging.getLogger("eval_default")
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
    from ghn_init.checkpoints import load

    return load(str(path)).eval()


def cifar_resnet(name: str) -> nn.Module:
    """torchvision's ResNet for 32x32 images and 10 classes, on the meta device, with batch statistics."""
    with torch.device("meta"):
        network: torchvision.models.ResNet = getattr(torchvision.models, name)(num_classes=10)
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return use_batch_statistics(network.eval())


def networks(split: str, count: int) -> Iterator[tuple[str, nn.Module]]:
    """The networks to evaluate, on the meta device."""
    for name in RESNETS:
        yield name, cifar_resnet(name)
    for index in range(count):
        # yielding inside the context would leave it on for the caller
        with torch.device("meta"):
            network = build(sample(split, index))  # type: ignore[arg-type]
        yield f"{split}/{index}", network


def shown_to(place: int, images: Images, args: argparse.Namespace) -> Images:
    """The images for the network at `place`: the first ones for the ResNets, a block of its own for each other one."""
    if place < len(RESNETS):
        return images.subset(slice(args.resnet_images))
    start = (place - len(RESNETS)) * args.images
    return images.subset(torch.arange(start, start + args.images) % len(images))


def evaluate_share(args: argparse.Namespace, part: int) -> None:
    """Evaluate every `processes`-th network, and write the accuracies to a file of this process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    ghn = load_ghn(args.ghn)
    images = read_parquet(args.data)
    found = {}
    for place, (name, network) in enumerate(networks(args.split, args.networks)):
        if place % args.processes != part:
            continue
        with torch.no_grad():
            parameters = ghn(trace(network))
        assert isinstance(parameters, dict)
        found[name] = accuracy(network, shown_to(place, images, args), parameters=parameters)
        logger.info("%s %.4f", name, found[name])
        args.out.with_suffix(f".part{part}").write_text(json.dumps(found))


def _work(args: argparse.Namespace) -> None:
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    evaluate_share(args, rank)


def main() -> None:
    """Read the command line, evaluate, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="parquet file of the test images")
    parser.add_argument("--ghn", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--images", type=int, default=512, help="test images a network: each has a block of its own")
    parser.add_argument("--resnet-images", type=int, default=2048, help="test images for the ResNets")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    run_processes(args.processes, _work, args)
    found: dict[str, float] = {}
    for part in range(args.processes):
        path = args.out.with_suffix(f".part{part}")
        found.update(json.loads(path.read_text()))
        path.unlink()
    own = [found[f"{args.split}/{index}"] for index in range(args.networks)]
    results = {
        "split": args.split,
        **Summary(tuple(own)).to_dict(),
        **{name: found[name] for name in RESNETS},
        "images": args.images,
        "resnet_images": args.resnet_images,
    }
    args.out.write_text(json.dumps(results, indent=1))
    shown = {key: value for key, value in results.items() if isinstance(value, float) and not math.isnan(value)}
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
