"""Training one network for a few steps, from predicted weights or from its own random ones."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ghn_init.deepnets import stream
from ghn_init.evaluation.accuracy import score
from ghn_init.evaluation.failures import Status, noted
from ghn_init.evaluation.loop import train_steps
from ghn_init.evaluation.measure import Setup, Start, own_network, predict_values
from ghn_init.evaluation.subjects import Subject
from ghn_init.images import ImageSet, draw_batch
from ghn_init.options import NOISE

MakeOptimiser = Callable[..., torch.optim.Optimizer]
#: The optimisers by name, and the learning rates that are tried if none are given.
OPTIMISERS: dict[str, tuple[MakeOptimiser, tuple[float, ...]]] = {
    "sgd": (functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=5e-4), (0.3, 0.1, 0.03, 0.01)),
    "adamw": (functools.partial(torch.optim.AdamW, weight_decay=0.05), (1e-2, 3e-3, 1e-3, 3e-4)),
}


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """How networks are fine-tuned.

    Attributes:
        budgets: numbers of steps; each is a run of its own, whose cosine schedule ends with it.
        optimiser: a key of `OPTIMISERS`.
        lrs: learning rates to choose from, for each network, start and budget; empty for those of `OPTIMISERS`.
        seeds: runs with the chosen learning rate, each with its own order of images and own random weights.
        batch_size: images a step.
        clip: largest norm of the gradient.
        held_out: training images kept out of training, on which the learning rate is chosen.

    Raises:
        ValueError: an unknown optimiser, no budget, or a number that is not positive.
    """

    budgets: tuple[int, ...]
    optimiser: str = "sgd"
    lrs: tuple[float, ...] = ()
    seeds: int = 3
    batch_size: int = 64
    clip: float = 5.0
    held_out: int = 2000

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"unknown optimiser {self.optimiser!r}; known are {', '.join(OPTIMISERS)}")
        if not self.budgets or min(self.budgets) < 1 or min((*self.lrs, 1.0)) <= 0:
            raise ValueError(f"budgets {self.budgets} and learning rates {self.lrs} must be positive")
        if min(self.seeds, self.batch_size, self.held_out) < 1 or self.clip <= 0:
            raise ValueError("seeds, batch_size, clip and held_out must be positive")
        object.__setattr__(self, "budgets", tuple(sorted(set(self.budgets))))
        object.__setattr__(self, "lrs", self.lrs or OPTIMISERS[self.optimiser][1])


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of one network.

    Attributes:
        subject: the network.
        start: where its first weights come from.
        steps: how many; 0 for none.
        lr: the largest learning rate.
        seed: 0 for the runs that choose the learning rate, 1, 2, ... for those that count.
    """

    subject: Subject
    start: Start
    steps: int
    lr: float
    seed: int

    @property
    def key(self) -> tuple[str, str, int, float, int]:
        """What tells its result from others."""
        return self.subject.name, self.start, self.steps, self.lr, self.seed


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What came of a run: on the held-out training images if its seed is 0, on the test images otherwise.

    Attributes:
        name: the network's.
        column: the column of the papers' table that it counts for.
        start, steps, lr, seed: those of the `Run`.
        status: as of `ghn_init.evaluation.measure.Result`.
        top1: accuracy afterwards, in [0, 1]; None if it failed.
        diverged: whether the loss was not finite at some step, where the training then ended.
        seconds: how long it took.
        message: what went wrong.
    """

    name: str
    column: str
    start: Start
    steps: int
    lr: float
    seed: int
    status: Status = "ok"
    top1: float | None = None
    diverged: bool = False
    seconds: float = 0.0
    message: str = ""

    @property
    def key(self) -> tuple[str, str, int, float, int]:
        """What tells it from others."""
        return self.name, self.start, self.steps, self.lr, self.seed


@dataclasses.dataclass
class FinetuneSetup:
    """All that a run needs.

    Attributes:
        setup: the GHN, and the test images with how to measure on them.
        train: the images to train on.
        held_out: training images that are not trained on.
        config: the settings.
    """

    setup: Setup
    train: ImageSet
    held_out: ImageSet
    config: FinetuneConfig


def finetune(context: FinetuneSetup, run: Run) -> RunResult:
    """Trains one network and measures it, with batch statistics before and after, as without training.

    Two runs that differ in their start only see the same images in the same order, with the same augmentation. What
    goes wrong is part of the result.
    """
    blank = RunResult(run.subject.name, run.subject.column, run.start, run.steps, run.lr, run.seed)
    return noted(blank, functools.partial(_finetune, context, run))


def _finetune(context: FinetuneSetup, run: Run, blank: RunResult) -> RunResult:
    setup, config = context.setup, context.config
    # depthwise convolutions are several times faster channels-last
    network = starting_point(setup, run.subject, run.start, run.seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(_seed("images", setup.seed, run.seed, run.subject.name))
    batches = (draw_batch(context.train, config.batch_size, generator, size=setup.image_size) for _ in range(run.steps))
    with torch.random.fork_rng():
        torch.manual_seed(_seed("dropout", setup.seed, run.seed, run.subject.name))
        diverged = not train(network, batches, run.steps, run.lr, config)
    images, indices = (context.held_out, None) if run.seed == 0 else (setup.images, setup.block(run.subject.place))
    found = score(network, images, batch_size=setup.batch_size, indices=indices, size=setup.image_size)
    status: Status = "not finite" if found.not_finite else "ok"
    return dataclasses.replace(blank, status=status, top1=found.top1, diverged=diverged)


def starting_point(setup: Setup, subject: Subject, start: Start, seed: int) -> nn.Module:
    """The network as it is before the first step.

    Predicted weights get the little noise that `ghn_init.apply` adds too: it tells tiled copies apart, which would
    otherwise stay equal for ever.
    """
    network = own_network(setup, subject, seed)
    if start == "own":
        return network
    generator = torch.Generator().manual_seed(_seed("noise", setup.seed, seed, subject.name))
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        skeleton = subject.skeleton(setup.images.num_classes, setup.image_size)
        for name, value in predict_values(setup.ghn, skeleton).items():
            noise = torch.randn(value.shape, generator=generator).to(value.device)
            parameters[name].copy_(value + NOISE * noise)
    return network


def train(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], steps: int, lr: float, config: FinetuneConfig
) -> bool:
    """Trains `network` in place and leaves it in evaluation mode.

    Args:
        network: what to train.
        batches: float32 (n, 3, h, w) images and int64 (n,) labels, one pair a step.
        steps: over which the learning rate falls to 0 on a cosine.
        lr: the learning rate of the first step.
        config: the optimiser and the clipping.

    Returns:
        Whether every loss was finite; training ends at the first that is not.
    """
    make, _ = OPTIMISERS[config.optimiser]
    optimiser = make(network.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=max(1, steps))
    return train_steps(network, batches, optimiser, schedule, clip=config.clip) is None


def _seed(*key: str | int) -> int:
    return int(stream("finetune", *key).integers(2**62))
