"""The same work on many items, in this process or in several."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from typing import Any, Generic, TypeVar

import torch
import torch.multiprocessing

from ghn_init.allocator import keep_freed_memory
from ghn_init.evaluation.errors import EvaluationError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")


def work_on(
    work: Callable[[Context, Item], Result], context: Context, items: Iterable[Item], processes: int = 1
) -> Generator[tuple[Item, Result], None, None]:
    """Yields each item with ``work(context, item)`` as soon as it is done.

    Args:
        work: a function that processes can import by name, for more than one of them.
        context: what it needs for every item; sent to each process once, tensors in shared memory.
        items: what to work on, taken as processes become free. An iterator that has come to its end is asked again
            after each result: what there is to do may depend on results.
        processes: how many; each computes with one thread, a single one (this one) with torch's number of them.

    Raises:
        EvaluationError: a process ended before its time.
    """
    if processes == 1:
        for item in items:
            yield item, work(context, item)
        return
    queue = iter(items)
    running: dict[Future[Result], Item] = {}
    start = _how_to_start(work.__module__)
    lifeline, held = start.Pipe(duplex=False)
    with ProcessPoolExecutor(processes, start, _Worker.start, (work, context, lifeline)) as pool:
        try:
            while True:
                # one more than are worked on, so that no process waits
                for item in itertools.islice(queue, processes + 1 - len(running)):
                    running[pool.submit(_Worker.do, item)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise EvaluationError(
                "a process ended before its time, most likely for want of memory; results so far are kept. "
                "Go on with fewer processes"
            ) from error
        except BaseException:  # Ctrl-C, or nobody wants more: what is being worked on is given up
            held.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            held.close()
            lifeline.close()


def _how_to_start(module: str) -> Any:
    """Processes forked from one that has imported `module`, which takes seconds, where the system can do that."""
    if "forkserver" not in torch.multiprocessing.get_all_start_methods():
        return torch.multiprocessing.get_context("spawn")
    context = torch.multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


class _Worker(Generic[Context, Item, Result]):
    """What a process works with."""

    work: Callable[[Any, Any], Any]
    context: Any

    @classmethod
    def start(cls, work: Callable[[Context, Item], Result], context: Context, lifeline: Any) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the first process decides
        threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
        cls.work, cls.context = staticmethod(work), context

    @classmethod
    def do(cls, item: Item) -> Any:
        return cls.work(cls.context, item)


def _end_with_parent(lifeline: Any) -> None:
    """Ends this process when the one that started it lets go of the other end, or is gone: killed, it cannot say so."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel, lifeline])
    os._exit(1)
