"""Many networks: measured one after the other or in several processes, with results kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ghn_init.checkpoints.fingerprint import fingerprint
from ghn_init.evaluation.errors import EvaluationError
from ghn_init.evaluation.journal import Journal, Study
from ghn_init.evaluation.measure import Result, Setup, Start, Task, measure
from ghn_init.evaluation.subjects import Subject

#: Called with the number of networks that are done, that of all, and the latest result.
Watch = Callable[[int, int, Result], object]


def evaluate_networks(
    setup: Setup,
    subjects: Iterable[Subject],
    *,
    starts: Sequence[Start] = ("predicted",),
    out: Path | None = None,
    processes: int = 1,
    watch: Watch | None = None,
) -> list[Result]:
    """Accuracies of networks without training.

    Args:
        setup: the GHN, the images, and how to measure.
        subjects: the networks.
        starts: with which weights: "predicted", "own".
        out: folder for ``networks.jsonl``, to which each result is appended. Networks that are in it already, measured
            with the same settings, are not measured again, unless they had no accuracy.
        processes: how many work at once, on the CPU with one thread each.
        watch: called after each network.

    Returns:
        The results, in the order of `subjects`, those of one network in the order of `starts`.

    Raises:
        EvaluationError: no images or networks, the images are of other classes than those of the GHN, or `out` holds
            results of other settings.
    """
    tasks = [Task(subject, start) for subject in subjects for start in starts]
    if not tasks:
        raise EvaluationError("no networks to evaluate")
    check_images(setup)
    journal = None if out is None else Journal(out / "networks.jsonl", settings(setup))
    return Study(Result, len(tasks), journal, watch).work_on(measure, setup, tasks, processes)


def check_images(setup: Setup) -> None:
    """Raises `EvaluationError` where the GHN cannot classify the images."""
    classes, known = setup.images.num_classes, setup.ghn.config.num_classes
    if not len(setup.images):
        raise EvaluationError("the data set has no images")
    if classes != known:
        raise EvaluationError(
            f"the images are of {classes} classes and the GHN predicts classifiers of {known}: take the data that it "
            "was trained for"
        )


def settings(setup: Setup) -> dict[str, Any]:
    """What a network's result depends on, as JSON types."""
    return {
        "ghn": fingerprint(setup.ghn),
        "data": setup.images.fingerprint,
        "mean": list(setup.images.mean),
        "std": list(setup.images.std),
        "image_size": setup.image_size,
        "images_each": setup.images_each,
        "batch_size": setup.batch_size,
        "seed": setup.seed,
    }
