"""How well the embedded default's familiarity score tells where its predictions are poor.

    python benchmarks/ood.py measure --data test.parquet --out runs/ood

measures the accuracy without training (batch statistics) of networks like those of the training, of DeepNets-1M's
splits in and out of distribution, and of a small model of each of timm's families and of torchvision's. It goes on
where it was stopped; kinds of networks take turns, so that a run that was stopped is balanced.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
import torchvision
from rich.console import Console
from torch import nn

from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints import load
from ghn_init.checkpoints.registry import configs_folder
from ghn_init.deepnets import sample
from ghn_init.evaluation import Result, Setup, Subject, evaluate_networks, named_networks, split_networks
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.evaluation.subjects import Skeleton, use_batch_statistics
from ghn_init.explain import fit_familiarity
from ghn_init.explain.trained import draws
from ghn_init.images import EVALUATION, load_images
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.config import ArchitectureConfig
from ghn_init.zoo import find_model

HERE = Path(__file__).parent
FOLDER = HERE / "ood"
CONFIG = configs_folder() / "default" / "config.json"
LEGS = HERE / "default_legs.json"
#: Networks of each split, and the most multiply-adds an image that one may have: the first so many below that.
COUNTS = {"wide": (4, 4e9), "deep": (20, 6e8), "dense": (20, 6e8), "bnfree": (25, 6e8)}
TRAINING = 25
#: Draws of another seed than the training's, out of more architectures than it had.
SEED, POOL = 1000, 100_000
IMAGES = 128
#: What small models' names have, and how many of a family are built to find the smallest.
SMALL = ("atto", "femto", "pico", "nano", "micro", "tiny", "xxs", "xs", "_s", "small", "18", "_0", "b0", "11")
TRIED = 3
#: Most parameters of a zoo model that is measured.
LARGEST = 16_000_000

console = Console()


def training_stream(seed: int = SEED, count: int | None = POOL) -> ArchitectureStream:
    """Architectures as the default's last leg drew them; `count` None for the very ones."""
    leg = json.loads(LEGS.read_text())[-1]
    settings = leg["architectures"] | ({} if count is None else {"count": count})
    settings["widths"] = tuple(settings["widths"])
    return ArchitectureStream(ArchitectureConfig(**settings), leg["steps"], seed)


@dataclasses.dataclass(frozen=True)
class Training:
    """Architecture `place` of the kind that the default was trained on."""

    place: int
    column: str = "training"

    @property
    def name(self) -> str:
        return f"training/{self.place}"

    def _architecture(self):  # type: ignore[no-untyped-def]
        return training_stream().draw(10**9, self.place).architecture

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        architecture = self._architecture()
        with torch.device("meta"):
            network = use_batch_statistics(architecture.build(num_classes, image_size))
        return Skeleton(network, architecture.graph(num_classes, image_size))

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        return use_batch_statistics(self._architecture().build(num_classes, image_size))


@dataclasses.dataclass(frozen=True)
class Zoo:
    """A model of timm or torchvision, in a column with the others of its zoo."""

    model: str
    place: int
    column: str

    @property
    def name(self) -> str:
        return self.model

    def skeleton(self, num_classes: int, image_size: int) -> Skeleton:
        return named_networks([self.model])[0].skeleton(num_classes, image_size)

    def build(self, num_classes: int, image_size: int) -> nn.Module:
        return named_networks([self.model])[0].build(num_classes, image_size)


def smallest_models(path: Path = FOLDER / "zoo.json") -> dict[str, dict[str, int]]:
    """For each zoo, a small model of each family (a module of timm or torchvision), with its parameters."""
    if path.exists():
        found: dict[str, dict[str, int]] = json.loads(path.read_text())
        return found
    families: dict[tuple[str, str], list[str]] = {}
    for module in timm.list_modules():
        families["timm", module] = timm.list_models(module=module)
    for name in torchvision.models.list_models(module=torchvision.models):
        module = torchvision.models.get_model_builder(name).__module__
        families.setdefault(("torchvision", module), []).append(name)
    found = {"timm": {}, "torchvision": {}}
    for (zoo, _), names in families.items():
        sizes = {}
        for name in sorted(names, key=lambda name: (not any(hint in name for hint in SMALL), len(name), name))[:TRIED]:
            skeleton = find_model(f"{zoo}:{name}").skeleton()
            sizes[f"{zoo}:{name}"] = sum(parameter.numel() for parameter in skeleton.parameters())
        if sizes:
            best = min(sizes, key=lambda name: sizes[name])
            found[zoo][best] = sizes[best]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def cheap(split: str, count: int, cost: float) -> list[Subject]:
    """The first `count` networks of a split with at most `cost` multiply-adds an image."""
    first = (one for one in split_networks([split], 500) if sample(split, one.index).cost(32) <= cost)
    return list(itertools.islice(first, count))


def subjects(zoo: bool) -> Iterator[Subject]:
    """All networks, kinds taking turns."""
    kinds: list[list[Subject]] = [[Training(place) for place in range(TRAINING)]]
    kinds += [cheap(split, *limits) for split, limits in COUNTS.items()]
    if zoo:
        for name, sizes in smallest_models().items():
            chosen = [model for model, size in sizes.items() if size <= LARGEST]
            kinds += [
                [Zoo(model, place, name) for place, model in enumerate(sorted(chosen))][part::2] for part in (0, 1)
            ]
    for turn in itertools.zip_longest(*kinds):
        yield from (subject for subject in turn if subject is not None)


def measure(args: argparse.Namespace) -> None:
    """Accuracies, into a journal that a later run goes on with."""
    torch.set_num_threads(1)
    images = as_trained(load_images(args.data, EVALUATION), "default")
    setup = Setup(load("default"), images, image_size=32, images_each=IMAGES)

    def watch(done: int, total: int, result: Result) -> None:
        console.print(f"{done}/{total} {result.name} {result.status} {result.top1} {result.seconds:.1f} s")

    evaluate_networks(setup, list(subjects(args.zoo)), out=args.out, watch=watch)


def fit(args: argparse.Namespace) -> None:
    """Statistics of the default's training into its config.json, without a threshold; the old one stays."""
    torch.set_num_threads(1)
    ghn = load("default")
    assert ghn.info is not None
    leg = json.loads(LEGS.read_text())[-1]
    chosen = draws(training_stream(leg["seed"], None), leg["meta_batch"], args.n)
    source = f"{args.n} of the {leg['architecture_steps']:,} architecture-steps of the last leg of its training"
    found = fit_familiarity(ghn, chosen, source=source)
    if "calibration" in ghn.info.familiarity:
        found["calibration"] = ghn.info.familiarity["calibration"]
    write_text_atomically(args.config, dataclasses.replace(ghn.info, familiarity=found).to_json())


def main() -> None:
    """Read the command line, do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    sub = commands.add_parser("measure")
    sub.add_argument("--data", required=True)
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--zoo", action=argparse.BooleanOptionalAction, default=True)
    sub.set_defaults(run=measure)
    sub = commands.add_parser("fit")
    sub.add_argument("--n", type=int, default=500, help="architectures")
    sub.add_argument("--config", type=Path, default=CONFIG)
    sub.set_defaults(run=fit)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
