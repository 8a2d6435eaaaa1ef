"""One training: a network from a start, its accuracy along the way and at the end."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from ghn_init.comparison.config import CompareConfig
from ghn_init.comparison.data import Data
from ghn_init.comparison.errors import ComparisonError
from ghn_init.comparison.optimisers import learning_rate_factor, make_optimiser
from ghn_init.comparison.runs import Run, RunResult
from ghn_init.comparison.starts import Starts
from ghn_init.evaluation.accuracy import Score, score
from ghn_init.evaluation.failures import Status, noted
from ghn_init.evaluation.loop import train_steps
from ghn_init.images import AUGMENTS, ImageSet, draw_batch, normalise

#: Images that starts may look at.
_EXAMPLES = 64


@dataclasses.dataclass
class Bench:
    """All that a run needs.

    Attributes:
        starts: the networks.
        data: the images.
        config: the settings.
    """

    starts: Starts
    data: Data
    config: CompareConfig


def train_one(bench: Bench, run: Run) -> RunResult:
    """Trains one network and measures it; what goes wrong is part of the result.

    Two runs of the same purpose and seed see the same images in the same order with the same augmentation, whatever
    their start, learning rate and budget. A batch that a start has learnt from counts as a step.
    """
    return noted(RunResult.blank(run), functools.partial(_train_one, bench))


def _train_one(bench: Bench, blank: RunResult) -> RunResult:
    started = time.perf_counter()
    config, data, starts = bench.config, bench.data, bench.starts
    generator = torch.Generator().manual_seed(starts.seed_of("images", blank.purpose, blank.seed))
    example = _example(data.train, generator, config.image_size)
    augment = AUGMENTS[config.augment]
    batches = (
        draw_batch(data.train, config.batch_size, generator, size=config.image_size, augment=augment)
        for _ in itertools.count()
    )
    network, taken = starts.get(blank.model, blank.strategy, blank.purpose, blank.seed, example, batches)
    if taken >= blank.steps:
        raise ComparisonError(f"{blank.strategy} takes {taken} batches itself and leaves no step of {blank.steps}")
    init_seconds = time.perf_counter() - started
    curve: list[tuple[int, float]] = []
    grid = config.grid(blank.steps) if blank.purpose == "test" else ()
    earlier = [step for step in grid if step < taken]
    if earlier:  # the start is not there yet, the network has its own weights
        own = _score(starts.own(blank.model, blank.purpose, blank.seed), data.test, config, data.curve).top1
        curve += [(step, own) for step in earlier]

    def measure(step: int) -> None:
        curve.append((taken + step, _score(network, data.test, config, data.curve).top1))

    assert blank.lr is not None
    with torch.random.fork_rng():
        torch.manual_seed(starts.seed_of("dropout", blank.purpose, blank.seed))
        before = {step - taken: measure for step in grid if step >= taken}
        rest = itertools.islice(batches, blank.steps - taken)
        diverged = train(network, rest, blank.steps - taken, blank.lr, config, before)
    if blank.purpose == "tune":
        found = _score(network, data.held_out, config, len(data.held_out))
    else:
        found = _score(network, data.test, config, len(data.test))
        if len(grid) > 1:
            last = found if data.curve == len(data.test) else _score(network, data.test, config, data.curve)
            curve += [(step, last.top1) for step in (*grid, blank.steps) if step not in dict(curve)]
    status: Status = "not finite" if found.not_finite else "ok"
    return dataclasses.replace(
        blank,
        status=status,
        accuracy=found.top1,
        diverged=None if diverged is None else taken + diverged,
        curve=tuple(curve),
        init_seconds=round(init_seconds, 3),
    )


def train(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    steps: int,
    lr: float,
    config: CompareConfig,
    before: Mapping[int, Callable[[int], object]],
) -> int | None:
    """Trains `network` in place and leaves it in evaluation mode.

    Args:
        network: what to train.
        batches: float32 (n, 3, h, w) images and int64 (n,) labels or float32 (n, classes) shares, one pair a step.
        steps: how many.
        lr: the largest learning rate.
        config: the optimiser and its settings.
        before: what to call, in evaluation mode, after so many steps and before the next; it is told that number.

    Returns:
        The step at which the loss was not finite, where training ended; None if there was none.
    """
    optimiser = make_optimiser(network, config.optimiser, lr, config.weight_decay or 0.0)
    factor = functools.partial(learning_rate_factor, steps=steps, warmup=config.warmup, schedule=config.schedule)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return train_steps(
        network, batches, optimiser, schedule, clip=config.clip, label_smoothing=config.label_smoothing, before=before
    )


def _score(network: nn.Module, images: ImageSet, config: CompareConfig, count: int) -> Score:
    indices = torch.arange(count)
    return score(network, images, batch_size=config.eval_batch_size, indices=indices, size=config.image_size)


def _example(images: ImageSet, generator: torch.Generator, size: int) -> Tensor:
    """The first training images of a seed, as networks take them, without augmentation."""
    pixels, _ = images.take(torch.randint(len(images), (_EXAMPLES,), generator=generator))
    return normalise(pixels, size, images.mean, images.std)
