"""How well the embedded default's familiarity score tells where its predictions are poor.

    python benchmarks/ood.py measure --data test.parquet --out runs/ood

measures the accuracy without training (batch statistics) of networks like those of the training, of DeepNets-1M's
splits in and out of distribution, and of a small model of each of timm's families and of torchvision's. It goes on
where it was stopped; kinds of networks take turns, so that a run that was stopped is balanced.

    python benchmarks/ood.py fit
    python benchmarks/ood.py describe --results runs/ood runs/test
    python benchmarks/ood.py evaluate

write the statistics of the training into the default's config.json, the scores of all measured networks into
ood/networks.json, and from these what ood.md shows, and the threshold. `python benchmarks/ood.py zoo` says how often
the warning is given for a model of each family of timm and torchvision.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from paired import predicted_rows
from rich.console import Console
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import nn

from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints import load, read_info
from ghn_init.checkpoints.registry import configs_folder
from ghn_init.deepnets import sample
from ghn_init.evaluation import Result, Setup, Subject, evaluate_networks, named_networks, split_networks
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.evaluation.subjects import Skeleton, use_batch_statistics
from ghn_init.explain import fit_familiarity
from ghn_init.explain.layers import node_distances
from ghn_init.explain.score import familiarity, statistics_of
from ghn_init.explain.shapes import strange_parts
from ghn_init.explain.trained import draws
from ghn_init.images import EVALUATION, load_images
from ghn_init.properties import node_embeddings
from ghn_init.rendering import plain_table
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.config import ArchitectureConfig
from ghn_init.zoo import find_model

HERE = Path(__file__).parent
FOLDER = HERE / "ood"
CONFIG = configs_folder() / "default" / "config.json"
NETWORKS = FOLDER / "networks.json"
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
#: Accuracy without training below which a start is poor: two and a half times chance.
POOR = 0.25
#: Per cent of the training's architectures that a warning may be about.
FALSE_ALARMS = 10
#: Most parameters of a zoo model that is measured.
LARGEST = 16_000_000

console = Console()


def training_stream(seed: int = SEED, count: int = POOL) -> ArchitectureStream:
    """Architectures as the default's last leg drew them, but not the same."""
    leg = json.loads(LEGS.read_text())[-1]
    return leg_stream(leg | {"architectures": leg["architectures"] | {"count": count}}, seed)


def leg_stream(leg: dict[str, Any], seed: int) -> ArchitectureStream:
    """Architectures as a leg drew them."""
    return ArchitectureStream(ArchitectureConfig.from_dict(leg["architectures"]), leg["steps"], seed)


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
    images = as_trained(load_images(args.data, EVALUATION), args.ghn)
    setup = Setup(load(args.ghn), images, image_size=32, images_each=IMAGES)

    def watch(done: int, total: int, result: Result) -> None:
        console.print(f"{done}/{total} {result.name} {result.status} {result.top1} {result.seconds:.1f} s")

    evaluate_networks(setup, list(subjects(args.zoo)), out=args.out, watch=watch)


def describe(args: argparse.Namespace) -> None:
    """Candidates for a score, for every network with an accuracy, into a file that `evaluate` reads."""
    torch.set_num_threads(1)
    ghn = load(str(args.config.parent))
    statistics = statistics_of(ghn)
    assert statistics is not None
    measured = {row["name"]: row for row in predicted_rows(args.results)}
    known = {subject.name: subject for subject in [*subjects(True), *split_networks(["test"], 500)]}
    rows = []
    for name, row in measured.items():
        graph, states = node_embeddings(known[name], ghn)
        values, embedding = states.double().numpy(), states.double().numpy().mean(axis=0)
        place = statistics.place(embedding)
        strange = [bool(strange_parts(ghn, node, statistics.types.get(node.type))) for node in graph.nodes]
        distances = [one for one in node_distances(graph, values, statistics) if one is not None]
        candidates = {
            "score": statistics.score(embedding, graph.nodes),
            "embedding, components with 90 % of the variance": float(np.linalg.norm(place[: statistics.components])),
            f"embedding, {len(place)} components": float(np.linalg.norm(place)),
            "shares of node types": statistics.composition.distance(graph.nodes),
            "mean distance of nodes": float(np.mean(distances)),
            "share of nodes with an unseen size": sum(strange) / len(strange),
            "log of the parameters": math.log(row["parameters"]),
            "nodes": len(graph),
        }
        entry = {key: row[key] for key in ("name", "column", "top1", "images", "parameters")}
        rows.append(entry | {key: float(f"{value:.5g}") for key, value in candidates.items()})
        console.print(f"{len(rows)}/{len(measured)} {name} {row['top1']:.3f} {candidates['score']:.2f}")
    lines = ",\n".join(json.dumps(row) for row in sorted(rows, key=lambda row: (row["column"], row["name"])))
    write_text_atomically(NETWORKS, f"[\n{lines}\n]\n")


def zoo(args: argparse.Namespace) -> None:
    """Scores of a model of each family as it is, for images of its own size: how often the warning is given there."""
    torch.set_num_threads(1)
    ghn, scores = load("default"), {}
    for name in (name for sizes in smallest_models().values() for name in sizes):
        graph, states = node_embeddings(name, ghn)
        found = familiarity(ghn, graph, states.mean(dim=0))
        assert found is not None
        scores[name] = round(found.score, 3)
    far = [name for name, score in scores.items() if score > (found.threshold or math.inf)]
    write_text_atomically(FOLDER / "zoo_scores.json", json.dumps(scores, indent=1) + "\n")
    console.print(f"{len(far)} of {len(scores)} above {found.threshold}: {', '.join(far)}")


def evaluate(args: argparse.Namespace) -> None:
    """How the candidates relate to accuracy, the threshold, and how often it is passed; the threshold to the config."""
    rows = json.loads(NETWORKS.read_text())
    accuracy, columns = np.array([row["top1"] for row in rows]), np.array([row["column"] for row in rows])
    poor, seen, zoo = accuracy < POOR, np.isin(columns, ["test"]), np.isin(columns, ["timm", "torchvision"])
    parts = {"all": seen | ~seen, "test split": seen, "other splits": ~seen & ~zoo, "zoo": zoo}
    table = plain_table("candidate", *(f"rho, {part}" for part in parts), f"AUC, below {POOR:.0%}")
    for name in [key for key in rows[0] if key not in ("name", "column", "top1", "images", "parameters")]:
        values = np.array([row[name] for row in rows])
        rho = [f"{spearmanr(values[part], accuracy[part])[0]:.2f}" for part in parts.values()]
        table.add_row(name, *rho, f"{roc_auc_score(poor, values):.2f}")
    console.print(table)
    info = read_info(CONFIG)
    quantiles = info.familiarity["quantiles"]
    scores = np.array([row["score"] for row in rows])
    candidates = [value for value in np.sort(scores) if value >= quantiles[100 - FALSE_ALARMS]]
    gains = [
        (poor & (scores > value)).sum() / poor.sum() - (~poor & (scores > value)).sum() / (~poor).sum()
        for value in candidates
    ]
    threshold = round(float(candidates[int(np.argmax(gains))]) + 0.005, 2)
    above = scores > threshold
    counts = plain_table(
        "networks", "number", "mean accuracy", "median score", "above the threshold", "accuracy of these"
    )
    for column in dict.fromkeys(sorted(columns)):
        own = columns == column
        these = f"{accuracy[own & above].mean():.1%}" if (own & above).any() else ""
        middle = f"{np.median(scores[own]):.2f}"
        counts.add_row(column, str(own.sum()), f"{accuracy[own].mean():.1%}", middle, str((own & above).sum()), these)
    console.print(counts)
    caught, hit = (poor & above).sum() / poor.sum(), (poor & above).sum() / above.sum()
    rule = (
        f"threshold: of the scores that at most {FALSE_ALARMS} % of the training's architectures exceed, the one that "
        f"best tells networks below {POOR:.0%} accuracy from others (largest sensitivity + specificity)"
    )
    evidence = (
        f"measured without training on {len(rows)} networks in and out of distribution (benchmarks/ood.md): mean "
        f"accuracy {accuracy[above].mean():.1%} of the {above.sum()} above it, {accuracy[~above].mean():.1%} of the "
        f"others; {hit:.0%} of those above have less than {POOR:.0%}, and {caught:.0%} of all that have less are above"
    )
    console.print(f"threshold {threshold}\n{rule}\n{evidence}")
    found = {**info.familiarity, "calibration": {"threshold": threshold, "rule": rule, "evidence": evidence}}
    write_text_atomically(CONFIG, dataclasses.replace(info, familiarity=found).to_json())


def fit(args: argparse.Namespace) -> None:
    """Statistics of the default's training into its config.json, without a threshold; the old one stays."""
    torch.set_num_threads(1)
    ghn = load("default")
    assert ghn.info is not None
    leg = json.loads(LEGS.read_text())[-1]
    chosen = draws(leg_stream(leg, leg["seed"]), leg["meta_batch"], args.n)
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
    sub.add_argument("--ghn", default="default", help="one that is not the default yet: its folder")
    sub.add_argument("--zoo", action=argparse.BooleanOptionalAction, default=True)
    sub.set_defaults(run=measure)
    sub = commands.add_parser("fit")
    sub.add_argument("--n", type=int, default=500, help="architectures")
    sub.add_argument("--config", type=Path, default=CONFIG)
    sub.set_defaults(run=fit)
    sub = commands.add_parser("describe")
    sub.add_argument("--results", type=Path, nargs="+", required=True, help="folders of `measure` or `ghn-init eval`")
    sub.add_argument("--config", type=Path, default=CONFIG)
    sub.set_defaults(run=describe)
    sub = commands.add_parser("zoo")
    sub.set_defaults(run=zoo)
    sub = commands.add_parser("evaluate")
    sub.set_defaults(run=evaluate)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
