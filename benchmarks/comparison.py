"""Which start is best? Networks of timm at 32 x 32 from every strategy, with as little training as two cores can do.

    python benchmarks/comparison.py --cifar10 FOLDER --fashion-mnist FOLDER --out runs/comparison --processes 2

Each study is a `ghn_init.comparison.compare`, which can be stopped and started again. The raw numbers go into
`benchmarks/comparison/`, the tables into `benchmarks/comparison.md`. With another default GHN only its own rows change:
`--again ghn --again ghn_orth` takes all others from `benchmarks/comparison/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import timm
from comparison_kept import restore
from rich.console import Console
from torch import nn

from ghn_init.allocator import keep_freed_memory
from ghn_init.comparison import CompareConfig, ComparisonResult, Progress, compare, load_data
from ghn_init.strategies import parse

HERE = Path(__file__).parent
PAGE = HERE / "comparison.md"
RAW = HERE / "comparison"
KEPT = ("runs.csv", "curves.csv", "summary.csv", "tables.txt")

Factory = Callable[[], nn.Module]


def _timm(name: str, **options: Any) -> Factory:
    return functools.partial(timm.create_model, name, num_classes=10, **options)


#: timm's networks, narrower or shallower where they would be too large for the machine.
NETWORKS: dict[str, Factory] = {
    "resnet18, width 1/4": _timm("resnet18", channels=(16, 32, 64, 128)),
    "resnet50, width 1/4": _timm("resnet50", channels=(16, 32, 64, 128)),
    "vit, patch 8, depth 6, width 96": _timm("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=6, embed_dim=96),
    "convnext, patch 2, width 24": _timm("convnext_atto", patch_size=2, depths=(1, 1, 3, 1), dims=(24, 48, 96, 192)),
    "mobilenetv3_small_050": _timm("mobilenetv3_small_050"),
    "efficientnet_b0": _timm("efficientnet_b0"),
}
#: A network with batch norm and the two with layer norm, for what is repeated with other data or budgets.
FEW = tuple(NETWORKS)[:1] + tuple(NETWORKS)[2:4]
ALL_STRATEGIES = (
    "default",
    "ghn",
    "ghn,blend=0",
    "ghn_orth",
    "kaiming_normal",
    "kaiming_normal,mode=fan_out",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "trunc_normal",
    "orthogonal",
    "delta_orthogonal",
    "lsuv",
    "zero",
    "mimetic",
)
GHN_STRATEGIES = ("default", "ghn", "ghn,blend=0")
UNSEEN_STRATEGIES = (
    "default",
    "ghn",
    "ghn,head=false",
    "ghn,head=false,floor=0",
    "ghn,head=false,blend=0.1",
    "linear_probe:ghn",
    "linear_probe:default",
)


@dataclasses.dataclass(frozen=True)
class Study:
    """One comparison.

    Attributes:
        title: what the page calls it.
        data: a key of the data sets given, or "digits".
        networks: keys of `NETWORKS`.
        strategies: the starts.
        settings: of `CompareConfig`, beside `COMMON`.
    """

    title: str
    data: str
    networks: tuple[str, ...]
    strategies: tuple[str, ...]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


COMMON: dict[str, Any] = {
    "budgets": (25, 100),
    "tune_budgets": "largest",
    "lrs": (1e-3, 3e-3),
    "extensions": 1,
    "seeds": 3,
    "batch_size": 32,
    "held_out": 1000,
    "limit_test": 2000,
    "curve_images": 1000,
    "curve_factor": 3.0,
}
STUDIES: dict[str, Study] = {
    "strategies": Study("CIFAR-10, all strategies", "cifar10", tuple(NETWORKS), ALL_STRATEGIES),
    "digits": Study("scikit-learn's digits, which the GHN never saw", "digits", FEW, UNSEEN_STRATEGIES),
    "fashion-mnist": Study("Fashion-MNIST, which the GHN never saw", "fashion-mnist", FEW, UNSEEN_STRATEGIES),
    "cifar10-100": Study("CIFAR-10, 100 images a class", "cifar10", FEW, ALL_STRATEGIES, {"train_per_class": 100}),
    "blends": Study(
        "CIFAR-10, shares of random numbers",
        "cifar10",
        (*FEW, "mobilenetv3_small_050"),
        (
            "default",
            "ghn,blend=0",
            *(f"ghn,blend={share},floor={floor}" for share in (0.1, 0.25) for floor in (0, 0.3)),
        ),
        {"budgets": (300, 600)},
    ),
    "ceilings": Study(
        "CIFAR-10, scale of weights before batch norm",
        "cifar10",
        (*FEW[:1], *tuple(NETWORKS)[4:]),
        ("default", *(f"ghn,ceiling={share}" for share in (0, 0.5, 0.7, 1))),
    ),
    "longer": Study("CIFAR-10, longer", "cifar10", FEW, GHN_STRATEGIES, {"budgets": (100, 400, 1600)}),
    "fashion-mnist-longer": Study(
        "Fashion-MNIST, longer",
        "fashion-mnist",
        FEW,
        ("default", "ghn,head=false", "linear_probe:ghn"),
        {"budgets": (100, 400)},
    ),
}


def run(
    name: str, sources: dict[str, str], out: Path, processes: int, console: Console, again: Sequence[str] = ()
) -> ComparisonResult:
    """One study, from where it was; with `again`, from what the repository keeps but for these strategies."""
    study = STUDIES[name]
    config = CompareConfig(strategies=study.strategies, **(COMMON | study.settings))
    images = load_data(sources[study.data], config)
    if again:
        taken = restore(RAW / name, out / name, again, config, images)
        console.print(f"{name}: {taken} trainings of {RAW.name}/{name} are taken over")

    def watch(progress: Progress) -> None:
        if progress.latest is not None:
            console.print(f"{name}: {progress.runs} of {progress.of_runs}, {progress.done / progress.total:.0%}")

    networks = {key: NETWORKS[key] for key in study.networks}
    return compare(networks, images, config, out=out / name, processes=processes, watch=watch)


def keep(name: str, result: ComparisonResult, out: Path) -> None:
    """Writes the study's report into `out`, and copies raw numbers and plots of it into the repository."""
    written = result.write(out / name)
    folder = RAW / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in written:
        if path.name in KEPT or path.match("curves-*.png"):
            shutil.copyfile(path, folder / path.name)
    settings = {"config": dataclasses.asdict(result.config), "data": {**result.data, "data": STUDIES[name].data}}
    (folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")


def page(names: list[str]) -> str:
    """The page of all studies that are kept."""
    parts = [(HERE / "comparison_head.md").read_text().rstrip()]
    for name in names:
        folder = RAW / name
        pictures = "\n".join(f"![{path.stem}](comparison/{name}/{path.name})" for path in sorted(folder.glob("*.png")))
        tables = (folder / "tables.txt").read_text().rstrip()
        parts.append(f"## {STUDIES[name].title}\n\n```text\n{tables}\n```\n\n{pictures}".rstrip())
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Read the command line, run, write."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", required=True, help="parquet folder of CIFAR-10 in the Hub's layout")
    parser.add_argument("--fashion-mnist", required=True, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--out", type=Path, required=True, help="where trainings are kept as they come")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--study", choices=STUDIES, action="append", help="only this; repeatable")
    parser.add_argument(
        "--again",
        action="append",
        default=[],
        choices=sorted({parse(strategy).entry.name for study in STUDIES.values() for strategy in study.strategies}),
        help="strategy to train anew while others are kept; repeatable",
    )
    arguments = parser.parse_args()
    sources = {"cifar10": arguments.cifar10, "fashion-mnist": arguments.fashion_mnist, "digits": "digits"}
    console = Console()
    for name in arguments.study or STUDIES:
        result = run(name, sources, arguments.out, arguments.processes, console, arguments.again)
        keep(name, result, arguments.out)
    PAGE.write_text(page([name for name in STUDIES if (RAW / name / "tables.txt").exists()]))


if __name__ == "__main__":
    main()
