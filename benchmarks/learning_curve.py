"""The default's accuracy against architecture-steps, beside GHN-2's budget, and what the curve says of a longer run.

    python benchmarks/learning_curve.py                                  # table and learning_curve.png from the CSV
    python benchmarks/learning_curve.py --log runs/next/log.csv --leg 7  # first add a leg's log

`learning_curve.csv` has the lines of all legs' logs: architecture-steps over all legs, loss and accuracy on the batches
trained on, accuracy on unseen architectures where it was measured.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

CURVE = Path(__file__).with_name("learning_curve.csv")
#: GHN-2 on CIFAR-10 (Knyazev et al., 2021): 300 epochs of meta-batches of 8; its mean over 500 unseen architectures.
GHN2_STEPS, GHN2_ACCURACY = 1.9e6, 0.669
#: Legs on networks of one kind: leg 6 has timm's as well, which are harder, so that its line is another one.
SAME_NETWORKS = range(1, 6)
FIELDS = ("leg", "architecture_steps", "loss", "accuracy", "unseen")


def read() -> list[dict[str, str]]:
    """The lines of the curve."""
    with CURVE.open(newline="") as file:
        return list(csv.DictReader(file))


def add(log: Path, leg: int) -> None:
    """Append the log of a leg that starts where the curve ends."""
    rows = read()
    start = max(int(row["architecture_steps"]) for row in rows)
    with log.open(newline="") as file, CURVE.open("a", newline="") as curve:
        writer = csv.DictWriter(curve, FIELDS)
        for row in csv.DictReader(file):
            writer.writerow(
                {
                    "leg": leg,
                    "architecture_steps": start + int(row["architecture_steps"]),
                    "loss": row["loss"],
                    "accuracy": row["accuracy"],
                    "unseen": row.get("validation", ""),
                }
            )


def fit(steps: np.ndarray, accuracies: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the accuracy against the decimal logarithm of the steps."""
    slope, offset = np.polyfit(np.log10(steps), accuracies, 1)
    return float(slope), float(offset)


def main() -> None:
    """Read the command line, add a leg, show and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--leg", type=int)
    parser.add_argument("--from-step", type=float, default=5000, help="fit from here on")
    parser.add_argument("--out", type=Path, default=CURVE.with_suffix(".png"))
    args = parser.parse_args()
    if args.log is not None:
        add(args.log, args.leg)
    rows = read()
    steps = np.array([int(row["architecture_steps"]) for row in rows], dtype=float)
    accuracies = np.array([float(row["accuracy"]) for row in rows])
    late = steps >= args.from_step
    late &= np.array([int(row["leg"]) in SAME_NETWORKS for row in rows])
    slope, offset = fit(steps[late], accuracies[late])
    for goal in (1e5, 3e5, GHN2_STEPS):
        print(f"{goal:.0e} architecture-steps: {100 * (slope * np.log10(goal) + offset):.0f} % on training batches")
    print(f"each factor of 10: {100 * slope:.1f} points; so far {steps.max():.0f} steps")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, 100 * accuracies, ".", markersize=3, label="architectures and images trained on")
    unseen = [(step, float(row["unseen"])) for step, row in zip(steps, rows, strict=True) if row["unseen"]]
    axes.plot(
        [one[0] for one in unseen], [100 * one[1] for one in unseen], "^", label="unseen architectures and images"
    )
    line = np.logspace(np.log10(args.from_step), np.log10(GHN2_STEPS))
    axes.plot(line, 100 * (slope * np.log10(line) + offset), "--", linewidth=1, label="fit, continued")
    axes.plot([GHN2_STEPS], [100 * GHN2_ACCURACY], "*", markersize=12, label="GHN-2, 500 unseen architectures")
    axes.set_xscale("log")
    axes.set_xlabel("architecture-steps")
    axes.set_ylabel("top-1 accuracy on CIFAR-10 (%)")
    axes.legend()
    figure.savefig(args.out, dpi=120)


if __name__ == "__main__":
    main()
