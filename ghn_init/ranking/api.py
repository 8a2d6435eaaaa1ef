"""The two calls: `rank` given networks, and `search` for good ones."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ghn_init.checkpoints import DEFAULT, load
from ghn_init.deepnets import SPLIT_SIZES, SPLITS
from ghn_init.evaluation.accuracy import BATCH_SIZE
from ghn_init.evaluation.measure import Setup
from ghn_init.evaluation.normalisation import as_trained
from ghn_init.evaluation.run import check_images
from ghn_init.evaluation.subjects import SplitNetwork, Subject
from ghn_init.hypernet import GHN
from ghn_init.images import ImageSet, load_images
from ghn_init.ranking.assess import Job, check_criterion
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.networks import GeneratedNetwork, Generator
from ghn_init.ranking.result import Ranking, ordered
from ghn_init.ranking.rows import Budget
from ghn_init.ranking.run import Watch, run
from ghn_init.ranking.selection import Models, select

#: Images that networks are measured on by default: intervals of 6 percentage points or less.
IMAGES = 1000
#: Splits of the data to choose networks on: test images are for those that were chosen.
HELD_OUT = ("validation", "test")
#: Networks that a search draws at most, for each that is wanted.
DRAWS = 20


def rank(
    models: Models,
    data: ImageSet | str | Path,
    *,
    ghn: str | Path | GHN | None = None,
    by: str = "ghn",
    images: int | None = IMAGES,
    image_size: int | None = None,
    data_split: str | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    max_parameters: int | None = None,
    max_flops: int | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    small_images: bool = True,
    out: str | Path | None = None,
    processes: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
) -> Ranking:
    """Ranks networks without training them: by their accuracy with predicted weights (Zhang et al., 2019, section 4.1).

    All are measured on the same images, in the same batches, whose statistics batch norms use. A network that cannot
    be built, predicted or run is a row that says why. The same arguments give the same ranking, times apart.

    Args:
        models: names, patterns, splits, modules or `Subject`s; see `ghn_init.ranking.select`.
        data: images, or where they are: see `ghn_init.images.load_images`.
        ghn: what predicts, as for `ghn_init.apply`.
        by: "ghn"; or, without the GHN, "params", "flops" or another of `ghn_init.proxies.PROXIES`, of networks with
            their own random weights. More is better.
        images: how many images to measure on; None for all.
        image_size: side of the images that networks get; None for their own.
        data_split: split of the data; "validation", or else "test", by default.
        batch_size: images a batch.
        seed: of the images' order and of own weights.
        max_parameters: networks with more parameters are not measured.
        max_flops: likewise for multiply-adds for one image.
        model_kwargs: keyword arguments for the constructors of networks by name.
        small_images: change the stems of networks by name that are for large images, as the papers do for 32 x 32.
        out: folder for rows as they come, so that a ranking that was stopped goes on; see `ghn_init.ranking.run`.
        processes: how many work at once, on the CPU with one thread each.
        device: where to predict and classify.
        watch: called after each network with the number that is done, that of all, and the latest row.

    Raises:
        RankingError: no networks, an unknown criterion, or a wrong budget.
        ModelNotFoundError: no network of a name.
        EvaluationError: the GHN cannot classify the images, or `out` holds rows of other settings.
        DataError: the images cannot be read.
    """
    subjects = select(models, model_kwargs, small_images=small_images)
    job, names = _prepare(
        data, data_split, ghn, by, Budget(max_parameters, max_flops), images, image_size, batch_size, seed, device
    )
    return _rank(job, names, subjects, len(subjects), None, None, out, processes, watch)


def search(
    n: int,
    data: ImageSet | str | Path,
    *,
    split: str | Generator = "search",
    keep: int = 10,
    max_parameters: int | None = None,
    max_flops: int | None = None,
    first: int = 0,
    draws: int | None = None,
    ghn: str | Path | GHN | None = None,
    by: str = "ghn",
    images: int | None = IMAGES,
    image_size: int | None = None,
    data_split: str | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    out: str | Path | None = None,
    processes: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
) -> Ranking:
    """Ranks `n` random architectures within a budget, and keeps the best: random search without training.

    Args:
        n: architectures to rank; those over the budget do not count.
        data: images, or where they are.
        split: a split of `ghn_init.deepnets`; or a function that makes network i from the index i alone, a module or a
            `Subject`.
        keep: how many networks `Ranking.modules` and `Ranking.save` hand back.
        max_parameters: most parameters of a network.
        max_flops: most multiply-adds for one image.
        first: index of the first architecture.
        draws: architectures to draw at most; None for 20 times `n`.

    Other arguments and errors as for `rank`.
    """
    for name, value in (("n", n), ("keep", keep), ("draws", n * DRAWS if draws is None else draws)):
        if value < 1:
            raise RankingError(f"{name}={value} must be at least 1")
    if processes > 1:
        _check_sendable(split)
    subjects = itertools.islice(_drawn(split, first), n * DRAWS if draws is None else draws)
    job, names = _prepare(
        data, data_split, ghn, by, Budget(max_parameters, max_flops), images, image_size, batch_size, seed, device
    )
    return _rank(job, names, subjects, n, n, keep, out, processes, watch)


def _rank(
    job: Job,
    names: tuple[str, str],
    subjects: Iterable[Subject],
    count: int,
    wanted: int | None,
    keep: int | None,
    out: str | Path | None,
    processes: int,
    watch: Watch | None,
) -> Ranking:
    found = run(job, subjects, count, out=None if out is None else Path(out), processes=processes, watch=watch)
    rows = [row for _, row in found]
    return Ranking(
        rows=ordered([row for row in rows if row.status != "over budget"]),
        over_budget=[row for row in rows if row.status == "over budget"],
        by=job.by,
        ghn=names[0],
        data=names[1],
        images=len(job.setup.images),
        num_classes=job.setup.images.num_classes,
        wanted=wanted,
        keep=keep,
        subjects={subject.name: subject for subject, _ in found},
        setup=job.setup,
    )


def _prepare(
    data: ImageSet | str | Path,
    data_split: str | None,
    ghn: str | Path | GHN | None,
    by: str,
    budget: Budget,
    images: int | None,
    image_size: int | None,
    batch_size: int,
    seed: int,
    device: str,
) -> tuple[Job, tuple[str, str]]:
    """How to rank, and what to call the GHN and the data."""
    check_criterion(by)
    if images is not None and images < 1:
        raise RankingError(f"images={images} must be at least 1")
    if batch_size < 2:
        raise RankingError(f"batch_size={batch_size} must be at least 2: batch norms use the statistics of a batch")
    if isinstance(data, ImageSet):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
        chosen: ImageSet = data.subset(order[: len(data) if images is None else images])
    else:
        chosen = load_images(data, data_split or HELD_OUT, image_size=image_size, limit=images, device=device)
    if isinstance(ghn, GHN):
        loaded, name = ghn, "a GHN"
    else:
        name = DEFAULT if ghn is None else str(ghn)
        loaded = load(name, device=device)
        chosen = as_trained(chosen, name) if by == "ghn" else chosen
    setup = Setup(loaded, chosen, image_size=image_size or chosen.side, batch_size=batch_size, seed=seed)
    if by == "ghn":
        check_images(setup)
    return Job(setup, by, budget), (name, "images in memory" if isinstance(data, ImageSet) else str(data))


def _check_sendable(split: str | Generator) -> None:
    try:
        pickle.dumps(split)
    except Exception as error:
        raise RankingError(
            f"{split!r} cannot be sent to other processes ({error}): define it in a module, or use one process"
        ) from error


def _drawn(split: str | Generator, first: int) -> Iterator[Subject]:
    if not isinstance(split, str):
        name = getattr(split, "__name__", type(split).__name__)
        return (GeneratedNetwork(name, split, index) for index in itertools.count(first))
    if split not in SPLITS:
        raise RankingError(f"unknown split {split!r}; known are {', '.join(SPLITS)}")
    size = SPLIT_SIZES[split]
    indices = itertools.count(first) if size is None else range(first, size)
    return (SplitNetwork(split, index) for index in indices)
