"""One network: what it costs, and, if that is within the budget, what it is ranked by."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable

from ghn_init.evaluation.failures import noted
from ghn_init.evaluation.measure import Setup, Task, measure, own_network
from ghn_init.evaluation.subjects import Subject
from ghn_init.images import normalise
from ghn_init.ranking.costs import cost_of_image
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.networks import Once, digest_of
from ghn_init.ranking.rows import Budget, Row, interval

logger = logging.getLogger(__name__)

_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Job:
    """How networks are ranked.

    Attributes:
        setup: the GHN and the images, which are the same for all networks: `images_each` is None.
        by: "ghn" for the accuracy with predicted weights, or the name of a proxy.
        budget: how large networks may be.
    """

    setup: Setup
    by: str = "ghn"
    budget: Budget = dataclasses.field(default_factory=Budget)


def assess(job: Job, subject: Subject) -> Row:
    """What a network costs and is worth; what goes wrong with it is part of the result."""
    started = time.perf_counter()
    once = Once(subject)
    row = noted(Row(subject.name, digest=digest_of(subject)), functools.partial(_costs, job, once))
    if row.status == "ok":
        row = _MEASURES.get(job.by, _by_proxy)(job, once, row)
    return dataclasses.replace(row, seconds=round(time.perf_counter() - started, 3))


def _costs(job: Job, subject: Once, row: Row) -> Row:
    classes, size = job.setup.images.num_classes, job.setup.image_size
    network = subject.skeleton(classes, size).network
    row = dataclasses.replace(row, parameters=sum(parameter.numel() for parameter in network.parameters()))
    if not job.budget.excess(row.parameters, None):
        row = _flops(job, subject, row)
    if excess := job.budget.excess(row.parameters, row.flops):
        return dataclasses.replace(row, status="over budget", message=excess)
    return row


def _flops(job: Job, subject: Once, row: Row) -> Row:
    classes, size = job.setup.images.num_classes, job.setup.image_size
    try:
        cost = cost_of_image(subject.skeleton(classes, size).network, _CHANNELS, size)
    except Exception as error:
        if job.budget.max_flops is not None:
            raise RankingError(f"its multiply-adds cannot be counted: {error}") from error
        logger.debug("%s", subject.name, exc_info=error)
        return dataclasses.replace(row, message="multiply-adds unknown")
    if cost.outputs != (classes,):
        raise RankingError(f"its outputs are {cost.outputs} for an image, where there are {classes} classes")
    return dataclasses.replace(row, flops=cost.flops)


def _by_accuracy(job: Job, subject: Once, row: Row) -> Row:
    result = measure(job.setup, Task(subject, "predicted"))
    row = dataclasses.replace(row, status=result.status, message=result.message or row.message)
    if result.top1 is None:
        return row
    if result.not_finite:
        row = dataclasses.replace(row, message=f"{result.not_finite} images with logits that are not finite")
    low, high = interval(round(result.top1 * result.images), result.images)
    return dataclasses.replace(
        row, score=result.top1, low=low, high=high, predicted=result.predicted, images=result.images
    )


def _by_parameters(job: Job, subject: Once, row: Row) -> Row:
    return dataclasses.replace(row, score=row.parameters)


def _by_flops(job: Job, subject: Once, row: Row) -> Row:
    if row.flops is None:
        return dataclasses.replace(row, status="failed")
    return dataclasses.replace(row, score=row.flops)


def _by_proxy(job: Job, subject: Once, row: Row) -> Row:
    return noted(row, functools.partial(_proxy, job, subject))


def _proxy(job: Job, subject: Once, row: Row) -> Row:
    from ghn_init import proxies

    setup = job.setup
    pixels, labels = setup.images.take(setup.block(0)[: setup.batch_size])
    x = normalise(pixels, setup.image_size, setup.images.mean, setup.images.std)
    value = proxies.score(own_network(setup, subject), x, labels, job.by)
    if not math.isfinite(value):
        return dataclasses.replace(row, status="not finite", message=f"{job.by} is {value}")
    return dataclasses.replace(row, score=value, images=len(labels))


#: What needs no weights, or the GHN's; all else is a proxy.
_MEASURES: dict[str, Callable[[Job, Once, Row], Row]] = {
    "ghn": _by_accuracy,
    "params": _by_parameters,
    "flops": _by_flops,
}


def check_criterion(by: str) -> None:
    """Raises `RankingError` where networks cannot be ranked by `by`."""
    if by in _MEASURES:
        return
    from ghn_init.proxies import PROXIES

    if by not in PROXIES:
        known = ", ".join(dict.fromkeys((*_MEASURES, *PROXIES)))
        raise RankingError(f"networks cannot be ranked by {by!r}; known are {known}")
