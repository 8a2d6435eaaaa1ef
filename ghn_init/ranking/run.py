"""Many networks: one after the other or in several processes, until there are enough, with rows kept as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ghn_init.evaluation.failures import FAILURES
from ghn_init.evaluation.journal import Journal
from ghn_init.evaluation.run import settings
from ghn_init.evaluation.subjects import Subject
from ghn_init.evaluation.workers import work_on
from ghn_init.ranking.assess import Job, assess
from ghn_init.ranking.networks import digest_of
from ghn_init.ranking.rows import Budget, Row

#: Called with the number of networks that count, that of all that are wanted, and the latest row.
Watch = Callable[[int, int, Row], object]

JOURNAL = "ranking.jsonl"


def run(
    job: Job,
    subjects: Iterable[Subject],
    wanted: int,
    *,
    out: Path | None = None,
    processes: int = 1,
    watch: Watch | None = None,
) -> list[tuple[Subject, Row]]:
    """Assesses networks until `wanted` of them are within the budget, or there are no more.

    Which networks these are does not depend on the number of processes: the first ones within the budget.

    Args:
        job: how.
        subjects: the networks, taken one by one.
        wanted: how many; those that fail count, too.
        out: folder for ``ranking.jsonl``, to which each row is appended. What is in it, found with the same settings,
            is not done again, unless it failed; the budget may be another one.
        processes: how many work at once, on the CPU with one thread each.
        watch: called after each network.

    Returns:
        The networks that were taken, in their order.

    Raises:
        EvaluationError: `out` holds rows of other settings, or a process ended before its time.
    """
    journal = None if out is None else Journal(out / JOURNAL, settings(job.setup) | {"by": job.by})
    queue = _Queue(subjects, wanted, job.budget, [] if journal is None else [Row(**row) for row in journal.rows()])
    for subject, row in work_on(assess, job, queue, processes):
        if journal is not None:
            journal.append(dataclasses.asdict(row))
        queue.settle(subject, row)
        if watch is not None:
            watch(queue.within, wanted, row)
    return [(subject, queue.rows[index]) for index, subject in enumerate(queue.taken)]


class _Queue(Iterator[Subject]):
    """Networks that are still to be assessed, as long as more are wanted than are within the budget or under way.

    Attributes:
        taken: the networks so far.
        rows: theirs, by number.
        within: how many of them are within the budget.
    """

    def __init__(self, subjects: Iterable[Subject], wanted: int, budget: Budget, known: Iterable[Row]) -> None:
        self._subjects, self._wanted, self._budget = iter(subjects), wanted, budget
        self._known = {row.key: row for row in known if row.status not in FAILURES}
        self._under_way: dict[int, int] = {}
        self.taken: list[Subject] = []
        self.rows: dict[int, Row] = {}
        self.within = 0

    def __next__(self) -> Subject:
        while self.within + len(self._under_way) < self._wanted:
            subject = next(self._subjects)
            self.taken.append(subject)
            row = self._known.get((subject.name, digest_of(subject)))
            settled = None if row is None else self._under(row)
            if settled is None:
                self._under_way[id(subject)] = len(self.taken) - 1
                return subject
            self._keep(len(self.taken) - 1, settled)
        raise StopIteration

    def settle(self, subject: Subject, row: Row) -> None:
        """Takes the row of a network that was under way."""
        self._keep(self._under_way.pop(id(subject)), row)

    def _keep(self, index: int, row: Row) -> None:
        self.rows[index] = row
        self.within += row.status != "over budget"

    def _under(self, row: Row) -> Row | None:
        """A row of another run under this one's budget; None if there is to be another."""
        if excess := self._budget.excess(row.parameters, row.flops):
            return dataclasses.replace(row, status="over budget", message=excess, score=None, low=None, high=None)
        unknown = self._budget.max_flops is not None and row.flops is None
        return None if row.status == "over budget" or unknown else row
