"""One network: predicted weights, or its own random ones, and the accuracy with them, without training."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import torch
from torch import Tensor, nn

from ghn_init.deepnets import stream
from ghn_init.evaluation.accuracy import BATCH_SIZE, score
from ghn_init.evaluation.failures import Status, noted
from ghn_init.evaluation.subjects import Skeleton, Subject
from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.vocabulary import restricted
from ghn_init.hypernet import GHN
from ghn_init.hypernet.targets import targets
from ghn_init.images import ImageSet
from ghn_init.merging import Repeats

#: With more of its convolutions' numbers left, a network is run with all channels: merging equal ones takes time, too.
WORTHWHILE = 0.5

#: Where a network's weights come from: the GHN, or its own initialisation.
Start = Literal["predicted", "own"]
STARTS: tuple[Start, ...] = ("predicted", "own")


@dataclasses.dataclass
class Setup:
    """How networks are measured.

    Attributes:
        ghn: what predicts, in evaluation mode, on `images`' device.
        images: the test images.
        image_size: side of the images that networks get.
        images_each: images a network, each one of a split its own block of them; None for all.
        batch_size: images a batch.
        seed: of the images' order and of own weights.
    """

    ghn: GHN
    images: ImageSet
    image_size: int = 32
    images_each: int | None = None
    batch_size: int = BATCH_SIZE
    seed: int = 0

    def block(self, place: int) -> Tensor:
        """The images of network `place`: int64 indices.

        Images are shuffled first, since files are often sorted by class and batch statistics are not to tell it.
        """
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.images), generator=generator)
        if self.images_each is None:
            return order
        start = place * self.images_each
        return order[torch.arange(start, start + min(self.images_each, len(order))) % len(order)]


@dataclasses.dataclass(frozen=True)
class Result:
    """One network with one kind of weights.

    Attributes:
        name: the network's.
        column: the column of the papers' table that it counts for.
        start: where the weights come from.
        status: "ok"; "not finite" if some logits are not (these images count as wrong); the others leave no accuracy.
        top1: in [0, 1], or None.
        top5: likewise; None for ten classes or fewer too.
        images: how many it was measured on.
        not_finite: how many of them have logits that are not finite.
        parameters: number of the network's parameters.
        predicted: the share of them that the GHN predicts; the others are random. 0 for own weights.
        nodes: nodes of the network's graph.
        depth: most layers with weights on a path from the input to the output.
        seconds: for building, predicting and classifying.
        message: what went wrong.
    """

    name: str
    column: str
    start: Start
    status: Status = "ok"
    top1: float | None = None
    top5: float | None = None
    images: int = 0
    not_finite: int = 0
    parameters: int = 0
    predicted: float = 0.0
    nodes: int = 0
    depth: int = 0
    seconds: float = 0.0
    message: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: the network's name, and the start."""
        return self.name, self.start


@dataclasses.dataclass(frozen=True)
class Task:
    """A network to measure, and with which weights."""

    subject: Subject
    start: Start

    @property
    def key(self) -> tuple[str, str]:
        """That of its result."""
        return self.subject.name, self.start


@torch.no_grad()
def measure(setup: Setup, task: Task) -> Result:
    """The accuracy of a network without training; what goes wrong with it is part of the result."""
    blank = Result(task.subject.name, task.subject.column, task.start)
    return noted(blank, functools.partial(_measure, setup, task))


def _measure(setup: Setup, task: Task, blank: Result) -> Result:
    skeleton = task.subject.skeleton(setup.images.num_classes, setup.image_size)
    sizes = {name: parameter.numel() for name, parameter in skeleton.network.named_parameters()}
    predicted = predict_values(setup.ghn, skeleton) if task.start == "predicted" else {}
    network = skeleton.network
    if sizes.keys() - predicted.keys() or any(True for _ in network.buffers()):
        network = own_network(setup, task.subject)
    indices = setup.block(task.subject.place)
    found = score(
        network,
        setup.images,
        parameters=predicted,
        periods=_periods(setup.ghn, skeleton) if predicted else None,
        batch_size=setup.batch_size,
        indices=indices,
        size=setup.image_size,
    )
    total = sum(sizes.values())
    return dataclasses.replace(
        blank,
        status="not finite" if found.not_finite else "ok",
        top1=found.top1,
        top5=found.top5,
        images=found.images,
        not_finite=found.not_finite,
        parameters=total,
        predicted=sum(sizes[name] for name in predicted) / total if total else 0.0,
        nodes=len(skeleton.graph),
        depth=depth(skeleton.graph),
    )


def predict_values(ghn: GHN, skeleton: Skeleton) -> dict[str, Tensor]:
    """What `ghn` predicts for the parameters of a network, by the names that the module gives them."""
    predicted = ghn(skeleton.graph)
    assert isinstance(predicted, dict)
    return predicted


def _periods(ghn: GHN, skeleton: Skeleton) -> dict[str, tuple[int, int]]:
    """After how many numbers predicted weights repeat; empty where merging equal channels saves little."""
    wanted, _ = targets(restricted(skeleton.graph, ghn.config.node_types), ghn.config)
    repeats = Repeats.of(skeleton.graph, wanted, ghn.config)
    return repeats.periods if repeats.kept <= WORTHWHILE else {}


def own_network(setup: Setup, subject: Subject, seed: int = 0) -> nn.Module:
    """The network with its own random weights, always the same for the same seed, on the images' device."""
    with torch.random.fork_rng():
        torch.manual_seed(int(stream("own", setup.seed, seed, subject.name).integers(2**62)))
        return subject.build(setup.images.num_classes, setup.image_size).to(setup.images.device)


def depth(graph: ArchGraph) -> int:
    """The most nodes with a weight of two dimensions or more on a path through `graph`."""
    weights = [node.shape is not None and node.param is not None and len(node.shape) > 1 for node in graph.nodes]
    longest = [int(weight) for weight in weights]
    for source, target in sorted(graph.edges):  # sources come in topological order
        longest[target] = max(longest[target], longest[source] + weights[target])
    return max(longest, default=0)
