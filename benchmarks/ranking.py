"""How far rankings without training can be trusted: Kendall's tau with the accuracy after training, on a pool.

    python benchmarks/pool.py --data cifar10 --out benchmarks/ranking/pool.jsonl --networks 64   # the training: hours
    python benchmarks/ranking.py --data cifar10                # scores (minutes; goes on where it was) and report
    python benchmarks/ranking.py --data cifar10 --ghn-again    # the GHN's scores anew, for another default
    python benchmarks/ranking.py                               # the report alone, from the scores that there are

For each network of the pool: the accuracy with weights that the embedded default predicts, without training, on test
images other than those that the trained networks were measured on, with batch statistics; and every proxy of
`ghn_init.proxies` on one batch of training images, of the network's own random weights, mean over seeds. Writes
``scores.jsonl``, ``tau.csv``, ``tau.json``, ``ranking.png`` and ``ranking.md``.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pool_networks import FOLDER, append_row, markdown, of_row, read_pool, read_rows
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from scipy.stats import kendalltau, spearmanr

import ghn_init
from ghn_init.atomic import write_text_atomically
from ghn_init.evaluation.measure import Setup, Start, Task, measure
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.images import ImageSet, load_images, normalise
from ghn_init.proxies import PROXIES, ProxyError, score

#: Test images for the GHN's ranking; the first 5,000 are those that trained networks are measured on.
IMAGES = slice(5000, 6000)
#: Training images in the batch of the proxies, and random weights that each is averaged over.
BATCH, SEEDS = 64, 3
CLASSES = 10
RESAMPLES = 2000
#: How many networks a search would keep.
KEPT = 5
GHN = "GHN"
STARTS: dict[str, Start] = {GHN: "predicted", "untrained": "own"}
LABELS = {GHN: "GHN's accuracy without training", "untrained": "own random weights' accuracy", "early": "early"}


def scores_of(row: dict[str, Any], setup: Setup, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, Any]:
    """Every score of a network, and the seconds of CPU time for each."""
    subject = of_row(row)
    values: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name, start in STARTS.items():
        values[name], seconds[name] = accuracy_of(row, setup, start)
    networks = []
    for seed in range(SEEDS):
        torch.manual_seed(1000 * row["index"] + seed)
        networks.append(subject.build(CLASSES, row["image_size"]))
    for name, proxy in PROXIES.items():
        chosen = networks[:1] if proxy.needs == "architecture" else networks
        started = time.process_time()
        values[name] = [finite_score(network, batch, name) for network in chosen]
        seconds[name] = (time.process_time() - started) / len(chosen)
    return {"name": row["name"], "scores": values, "seconds": {name: round(each, 4) for name, each in seconds.items()}}


def accuracy_of(row: dict[str, Any], setup: Setup, start: Start) -> tuple[float, float]:
    """Of a network without training, with the seconds of CPU time for it."""
    started = time.process_time()
    result = measure(setup, Task(of_row(row), start))
    if result.top1 is None:
        raise RuntimeError(f"{row['name']}, {start}: {result.message}")
    return result.top1, time.process_time() - started


def finite_score(network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor], proxy: str) -> float | None:
    """The score; None where it is infinite, or where there is none."""
    try:
        value = score(network, *batch, proxy)
    except ProxyError:
        return None
    return value if math.isfinite(value) else None


def batch_of(train: ImageSet, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The proxies' batch. No image is in it twice: two alike make NASWOT's kernel singular."""
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:BATCH]
    pixels, labels = train.take(chosen)
    return normalise(pixels, size, train.mean, train.std), labels


def score_pool(pool: list[dict[str, Any]], data: str, path: Path) -> None:
    """Scores the networks that have no scores yet."""
    missing = [row for row in pool if row["name"] not in read_rows(path)]
    if not missing:
        return
    torch.set_num_threads(1)
    train: ImageSet = load_images(data, "train", image_size=32, limit=5000)
    size = missing[0]["image_size"]
    setup, batch = setup_of(data, size), batch_of(train, size)
    for row in track(missing, description="scores"):
        append_row(path, scores_of(row, setup, batch))


def score_ghn(pool: list[dict[str, Any]], data: str, path: Path) -> None:
    """Replaces the GHN's scores; the others do not depend on it."""
    torch.set_num_threads(1)
    scored = read_rows(path)
    setup = setup_of(data, pool[0]["image_size"])
    for row in track([row for row in pool if row["name"] in scored], description="the GHN's scores"):
        found = scored[row["name"]]
        accuracy, seconds = accuracy_of(row, setup, STARTS[GHN])
        found["scores"][GHN], found["seconds"][GHN] = accuracy, round(seconds, 4)
    write_text_atomically(path, "".join(json.dumps(row) + "\n" for row in scored.values()))


def setup_of(data: str, size: int) -> Setup:
    """The embedded default and the images that its weights are measured on."""
    test = as_trained(load_images(data, "test", image_size=32).subset(IMAGES), "default")
    return Setup(ghn_init.load("default").eval(), test, image_size=size)


def table_of(pool: list[dict[str, Any]], scored: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    """Each score of all networks, as one number a network; minus infinity where a proxy has none."""
    rows = [scored[row["name"]]["scores"] for row in pool]
    found = {
        name: np.array(
            [-math.inf if None in (value := np.atleast_1d(row[name]).tolist()) else np.mean(value) for row in rows]
        )
        for name in rows[0]
    }
    return {GHN: found.pop(GHN), **found, "early": np.array([row["curve"][0][1] for row in pool])}


def resampled(scores: np.ndarray, target: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Kendall's tau-b on resampled networks."""
    return np.array([kendalltau(scores[pick], target[pick]).statistic for pick in picks])


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 %."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def analyse(pool: list[dict[str, Any]], scored: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Rank correlations with the accuracy at the end and at a quarter of the training, and what the best are worth."""
    scores = table_of(pool, scored)
    end = np.array([row["top1"] for row in pool])
    quarter_steps = pool[0]["steps"] // 4
    quarter = np.array([dict(map(tuple, row["curve"]))[quarter_steps] for row in pool])
    picks = np.random.default_rng(0).integers(len(pool), size=(RESAMPLES, len(pool)))
    samples = {name: resampled(values, end, picks) for name, values in scores.items()}
    rows = {}
    for name, values in scores.items():
        low, high = interval(samples[name])
        difference = samples[GHN] - samples[name]
        best = np.argsort(-values, kind="stable")[:KEPT]
        seconds = [scored[row["name"]]["seconds"].get(name) for row in pool]
        rows[name] = {
            "tau": float(kendalltau(values, end).statistic),
            "low": low,
            "high": high,
            "p": float(kendalltau(values, end).pvalue),
            "spearman": float(spearmanr(values, end).statistic),
            "tau_quarter": float(kendalltau(values, quarter).statistic),
            "quarter_interval": interval(resampled(values, quarter, picks)),
            "ghn_less_this": float(samples[GHN].mean() - samples[name].mean()),
            "ghn_less_this_interval": interval(difference),
            "mean_of_best": float(end[best].mean()),
            "seconds": None if None in seconds else float(np.median(seconds)),
            "without": int(np.isinf(values).sum()),
        }
    return {
        "networks": len(pool),
        "steps": pool[0]["steps"],
        "quarter_steps": quarter_steps,
        "early_steps": pool[0]["curve"][0][0],
        "kept": KEPT,
        "mean": float(end.mean()),
        "std": float(end.std(ddof=1)),
        "worst": float(end.min()),
        "best": float(end.max()),
        "mean_of_truly_best": float(np.sort(end)[-KEPT:].mean()),
        "ghn_mean": float(scores[GHN].mean()),
        "ghn_ahead": int((scores[GHN] > end).sum()),
        "rows": rows,
    }


def report(found: dict[str, Any]) -> str:
    """The findings as Markdown."""
    label = LABELS | {"early": f"accuracy after {found['early_steps']} steps of training"}
    ordered = sorted(found["rows"].items(), key=lambda item: -item[1]["tau"])
    table = [
        [
            label.get(name, name) + (f" (none for {row['without']})" if row["without"] else ""),
            f"{row['tau']:.2f} [{row['low']:.2f}, {row['high']:.2f}]",
            "{:.2f} [{:.2f}, {:.2f}]".format(row["tau_quarter"], *row["quarter_interval"]),
            f"{row['spearman']:.2f}",
            f"{row['mean_of_best']:.1%}",
            "" if row["seconds"] is None else f"{row['seconds']:.2f}",
        ]
        for name, row in ordered
    ]
    header = ["score", "Kendall's tau, end", f"after {found['quarter_steps']} steps", "Spearman, end"]
    header += [f"its {found['kept']} best", "CPU seconds"]
    differences = [
        [
            label.get(name, name),
            "{:+.2f} [{:+.2f}, {:+.2f}]".format(row["ghn_less_this"], *row["ghn_less_this_interval"]),
            verdict(*row["ghn_less_this_interval"]),
        ]
        for name, row in ordered
        if name != GHN
    ]
    return f"""# Ranking networks without training them

`benchmarks/pool.py` trained {found["networks"]} small networks of the DeepNets split `search` on CIFAR-10: width 16,
images of 16 x 16, {found["steps"]} steps of AdamW with batches of 32, all alike, one training each. Their test
accuracies go from {found["worst"]:.1%} to {found["best"]:.1%}, mean {found["mean"]:.1%}, standard deviation
{found["std"]:.1%}; in {found["ghn_ahead"]} of the {found["networks"]} the weights that the GHN predicts are better than
those so trained. `benchmarks/ranking.py` ranks the networks by scores that need no training and compares:

- the GHN's accuracy: weights predicted by the embedded default, {IMAGES.stop - IMAGES.start} test images that the
  trained networks were not measured on, batch statistics (mean {found["ghn_mean"]:.1%});
- the proxies of `ghn_init.proxies` on {BATCH} training images, each network's own random weights, mean of {SEEDS}
  seeds;
- for scale, the accuracy with own random weights, and that after the first {found["early_steps"]} steps of training.

In brackets: 95 % intervals from {RESAMPLES} bootstrap resamples of the networks. "Its {found["kept"]} best": the mean
accuracy after training of the {found["kept"]} networks that the score puts first; those that really are best have
{found["mean_of_truly_best"]:.1%}. CPU seconds are the median for one network, on one core.

{markdown(header, table)}

{headline(found)}

The GHN's tau less that of the other score, on the same resamples:

{markdown(["score", "difference", "which ranks better"], differences)}

![scores against accuracy](ranking/ranking.png)

One training of a network is a noisy measure of it, and this one is short: tau cannot reach 1 here. The pool is of one
family of small networks; a ranking of large ones on large images may come out differently.
"""


def headline(found: dict[str, Any]) -> str:
    """What the intervals of the table say."""
    rows = {name: row for name, row in found["rows"].items() if name != "early"}
    above = [LABELS.get(name, name) for name, row in rows.items() if row["low"] > 0]
    below = [LABELS.get(name, name) for name, row in rows.items() if row["high"] < 0]
    unclear = [LABELS.get(name, name) for name, row in rows.items() if row["low"] <= 0 <= row["high"]]
    parts = [
        ("rank this pool better than chance", above),
        ("cannot be told from chance", unclear),
        ("rank it the wrong way round", below),
    ]
    said = [f"These {what}: {', '.join(names)}." for what, names in parts if names]
    return " ".join(said if above else ["No score without training ranks this pool better than chance.", *said])


def verdict(low: float, high: float) -> str:
    """What an interval of differences says."""
    return "the GHN" if low > 0 else "the other" if high < 0 else "cannot be told"


def plot(pool: list[dict[str, Any]], scores: dict[str, np.ndarray], found: dict[str, Any], path: Path) -> None:
    """A panel a score: the score against the accuracy after training."""
    from matplotlib.figure import Figure

    label = LABELS | {"early": f"accuracy after {found['early_steps']} steps", GHN: "GHN's accuracy"}
    end = np.array([row["top1"] for row in pool])
    shown = [name for name in scores if name != "untrained"]
    columns = 5
    figure = Figure(figsize=(2.6 * columns, 2.5 * math.ceil(len(shown) / columns)), layout="constrained")
    panels = figure.subplots(math.ceil(len(shown) / columns), columns, sharey=True, squeeze=False).flatten()
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes, name in zip(panels, shown, strict=False):
        finite = np.isfinite(scores[name])
        axes.scatter(scores[name][finite], end[finite], s=9, color="tab:orange" if name == GHN else "tab:blue")
        axes.set_title(f"{label.get(name, name)}\ntau {found['rows'][name]['tau']:.2f}", fontsize=9)
        if np.all(scores[name][finite] > 0) and scores[name][finite].max() > 30 * scores[name][finite].min():
            axes.set_xscale("log")
        axes.tick_params(labelsize=7)
    figure.supylabel("test accuracy after training", fontsize=9)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", help="folder with CIFAR-10's parquet files; without it, only what is scored is reported"
    )
    parser.add_argument("--ghn-again", action="store_true", help="replace the GHN's scores; needs --data")
    parser.add_argument("--pool", type=Path, default=FOLDER / "pool.jsonl")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of scores, tables and picture")
    parser.add_argument("--markdown", type=Path, default=FOLDER.parent / "ranking.md", help="the report")
    options = parser.parse_args()
    if options.ghn_again and not options.data:
        parser.error("--ghn-again needs --data")
    pool, path = read_pool(options.pool), options.out / "scores.jsonl"
    if options.data:
        score_pool(pool, options.data, path)
        if options.ghn_again:
            score_ghn(pool, options.data, path)
    scored = read_rows(path)
    pool = [row for row in pool if row["name"] in scored]
    found = analyse(pool, scored)
    (options.out / "tau.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with (options.out / "tau.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = ("tau", "low", "high", "p", "spearman", "tau_quarter", "mean_of_best", "seconds")
        writer.writerow(["score", *names])
        for name, row in found["rows"].items():
            writer.writerow([name, *(row[key] if row[key] is None else f"{row[key]:.4g}" for key in names)])
    plot(pool, table_of(pool, scored), found, options.out / "ranking.png")
    text = report(found)
    options.markdown.write_text(text, encoding="utf-8")
    Console().print(Markdown(text))


if __name__ == "__main__":
    main()
