"""Properties of networks predicted from the embedded default's embeddings, cross-validated on the pool of `pool.py`.

    python benchmarks/properties.py                          # latencies (minutes; goes on where it was) and report
    python benchmarks/properties.py --latency-networks 200   # of further networks too, which need no training

As GHN-2's authors do (Knyazev et al., 2021, section 5.2), with far fewer networks to learn from. Targets: the accuracy
after training; the area under the learning curve; that as a share of the accuracy at the end (the speed of
convergence); the latency. Writes ``latency.jsonl``, ``properties.json`` and ``properties.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pool_networks import FOLDER, PoolNetwork, append_row, markdown, of_row, read_pool, read_rows
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from scipy.integrate import trapezoid

from ghn_init.properties import CrossValidation, cross_validate, embed, size_features

BATCH, IMAGE_SIZE, WIDTH, CLASSES = 64, 16, 16, 10
#: A latency is the smallest CPU time of so many forward passes: other work on the machine lengthens some of them.
PASSES = 20
FOLDS, REPEATS = 5, 3
TITLES = {
    "accuracy": "accuracy after training",
    "area": "mean accuracy during training (area under the learning curve)",
    "speed": "mean accuracy during training as a share of that at the end (speed of convergence)",
    "latency": "latency of a batch, logarithm",
    "latency of more": "latency of a batch, logarithm, on further networks of the split",
}


def latency(network: PoolNetwork, image_size: int) -> float:
    """Seconds of CPU time of a forward pass of a batch, one thread."""
    torch.manual_seed(0)
    module = network.build(CLASSES, image_size)
    images = torch.randn(BATCH, 3, image_size, image_size)
    times = []
    with torch.inference_mode():
        for _ in range(PASSES):
            started = time.thread_time()
            module(images)
            times.append(time.thread_time() - started)
    return min(times)


def measure(networks: list[PoolNetwork], image_size: int, path: Path) -> dict[str, float]:
    """Latencies by name, those that are not in the file yet measured and added to it."""
    torch.set_num_threads(1)
    known = read_rows(path)
    for network in track([each for each in networks if each.name not in known], description="latencies"):
        append_row(path, {"name": network.name, "width": network.width, "seconds": latency(network, image_size)})
    return {name: row["seconds"] for name, row in read_rows(path).items()}


def area(curve: list[list[float]]) -> float:
    """The mean accuracy over the steps from the first measurement to the last."""
    steps, accuracies = np.array(curve, dtype=float).T
    return float(trapezoid(accuracies, steps) / (steps[-1] - steps[0]))


def of_pool(
    pool: list[dict[str, Any]], ghn_accuracy: dict[str, float], latencies: dict[str, float]
) -> list[CrossValidation]:
    """A cross-validation for each property of the networks of the pool."""
    networks, size = [of_row(row) for row in pool], pool[0]["image_size"]
    x, sizes = embed(networks, image_size=size).double(), size_features(networks, image_size=size)
    features = {"embedding": x, "sizes": sizes, "embedding and sizes": torch.cat([x, sizes], dim=1)}
    guessed = torch.tensor([[ghn_accuracy[row["name"]]] for row in pool], dtype=torch.float64)
    areas = [area(row["curve"]) for row in pool]
    targets = {
        "accuracy": [row["top1"] for row in pool],
        "area": areas,
        "speed": [mean / row["top1"] for mean, row in zip(areas, pool, strict=True)],
        "latency": [math.log(latencies[row["name"]]) for row in pool],
    }
    trained = {"accuracy", "area", "speed"}
    return [
        validated(target, features | ({"GHN's accuracy": guessed} if target in trained else {}), values)
        for target, values in track(list(targets.items()), description="regressions")
    ]


def of_more(count: int, latencies: dict[str, float]) -> CrossValidation:
    """The latency of networks that nobody trained."""
    networks = further(count)
    x, sizes = embed(networks, image_size=IMAGE_SIZE).double(), size_features(networks, image_size=IMAGE_SIZE)
    features = {"embedding": x, "sizes": sizes, "embedding and sizes": torch.cat([x, sizes], dim=1)}
    return validated("latency of more", features, [math.log(latencies[network.name]) for network in networks])


def further(count: int) -> list[PoolNetwork]:
    """Networks from the middle of the split, far from those of the pool."""
    return [PoolNetwork("search", 50_000 + index, WIDTH) for index in range(count)]


def validated(target: str, features: dict[str, torch.Tensor], values: list[float]) -> CrossValidation:
    return cross_validate(features, torch.tensor(values), target=target, folds=FOLDS, repeats=REPEATS)


def report(found: list[CrossValidation], pool: list[dict[str, Any]]) -> str:
    """The findings as Markdown."""
    parts = []
    for each in found:
        rows = [
            [
                row.features,
                f"{row.r2:.2f} ± {row.r2_std:.2f}",
                *("" if value is None else f"{value:.2f}" for value in (row.spearman, row.kendall)),
            ]
            for row in each.scores
        ]
        spread = f"{float(each.values.min()):.3f} to {float(each.values.max()):.3f}"
        title = f"**{TITLES[each.target].capitalize()}** ({each.networks} networks, {spread})"
        parts.append(f"{title}\n\n{markdown(['features', 'R2', 'Spearman', 'Kendall'], rows)}")
    return f"""# Properties of networks from their embeddings

`python benchmarks/properties.py` predicts what became of the networks that `benchmarks/pool.py` trained
({pool[0]["steps"]} steps, see `ranking.md`) from `ghn_init.embed` of the embedded default: {REPEATS} times {FOLDS}-fold
cross-validation, ridge regression, support vectors or kernel ridge regression with hyperparameters chosen within each
training part. Beside it, on the same folds: the sizes alone (logarithms of parameters and multiply-adds, nodes), both,
for trained networks the accuracy that the GHN's weights have without training, and the mean of the training part. R2 is
that of all predictions of networks that were left out, mean ± standard deviation over the repeats; it is below 0 where
the mean of all values would be better.

The latency is the smallest CPU time of {PASSES} forward passes of {BATCH} images on one core.

{(chr(10) * 2).join(parts)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, default=FOLDER / "pool.jsonl")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of latencies and scores")
    parser.add_argument("--latency-networks", type=int, default=0, help="further networks whose latency is predicted")
    parser.add_argument("--markdown", type=Path, default=FOLDER.parent / "properties.md", help="the report")
    options = parser.parse_args()
    scored = read_rows(options.out / "scores.jsonl")
    pool = [row for row in read_pool(options.pool) if row["name"] in scored]
    if not pool:
        parser.error(f"{options.out} has no scores of the networks of {options.pool}: run benchmarks/ranking.py first")
    more = options.latency_networks
    wanted = [*map(of_row, pool), *further(more)]
    latencies = measure(wanted, pool[0]["image_size"], options.out / "latency.jsonl")
    guessed = {name: row["scores"]["GHN"] for name, row in scored.items()}
    found = of_pool(pool, guessed, latencies) + ([of_more(more, latencies)] if more else [])
    (options.out / "properties.json").write_text(
        json.dumps([each.to_dict() for each in found], indent=1) + "\n", encoding="utf-8"
    )
    text = report(found, pool)
    options.markdown.write_text(text, encoding="utf-8")
    Console().print(Markdown(text))


if __name__ == "__main__":
    main()
