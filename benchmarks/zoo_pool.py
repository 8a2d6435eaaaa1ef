"""Worker processes that outlive their tasks: a crash or a timeout costs one task, never the run."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

Task = tuple[str, ...]


@dataclasses.dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: Task | None = None
    started: float | None = None  # None until the process has imported what it needs


def results(
    work: Callable[..., dict[str, Any]], tasks: Iterable[Task], processes: int, timeout: float
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Yields each task with the result of `work(*task)`, as they come.

    Args:
        work: a function of a module.
        tasks: its arguments.
        processes: number of processes.
        timeout: seconds, imports not counted, after which a task is given up, its process killed. The result then, as
            after a crash, is a dict with the single entry "error".
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers, which inherit it
    context = multiprocessing.get_context("spawn")
    waiting = deque(tasks)
    workers = [_start(context, work) for _ in range(min(processes, len(waiting)))]
    try:
        while waiting or any(worker.task for worker in workers):
            for worker in workers:
                if worker.task is None and waiting:
                    worker.task = waiting.popleft()
                    if worker.started is not None:
                        worker.started = time.monotonic()
                    worker.pipe.send(worker.task)
            busy = {worker.pipe: worker for worker in workers if worker.task is not None}
            ready = set(wait(list(busy), timeout=1.0))
            for pipe, worker in busy.items():
                result = _result(worker, pipe in ready, timeout)
                if result is None:
                    continue
                task, worker.task = worker.task, None
                if not worker.process.is_alive():
                    workers[workers.index(worker)] = _start(context, work)
                assert task is not None
                yield task, result
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


def _start(context: Any, work: Callable[..., dict[str, Any]]) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(pipe: Connection, work: Callable[..., dict[str, Any]]) -> None:
    pipe.send(None)  # all is imported
    while True:
        pipe.send(work(*pipe.recv()))


def _result(worker: _Worker, ready: bool, timeout: float) -> dict[str, Any] | None:
    if ready:
        try:
            result: dict[str, Any] | None = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            return {"error": f"the process ended with status {worker.process.exitcode}"}
        if result is None:
            worker.started = time.monotonic()
        return result
    if worker.started is not None and time.monotonic() - worker.started > timeout:
        worker.process.kill()
        worker.process.join()
        return {"error": f"no result after {timeout:.0f} s"}
    return None
