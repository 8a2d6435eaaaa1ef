"""What can go wrong with one network among many."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Literal

from ghn_init.memory import is_out_of_memory, release

logger = logging.getLogger(__name__)

#: How it went with a network: "not finite" if some logits are not; the last two leave no accuracy.
Status = Literal["ok", "not finite", "out of memory", "failed"]
#: Without an accuracy, and worth another try when an evaluation goes on.
FAILURES: tuple[Status, ...] = ("out of memory", "failed")
_LONGEST = 300


class Failure:
    """Whether something went wrong in a `failure_noted` block, and what.

    Attributes:
        status: "ok", "out of memory" or "failed".
        message: the error, in one line; empty for none.
    """

    status: Status = "ok"
    message: str = ""


@contextlib.contextmanager
def failure_noted(name: str) -> Iterator[Failure]:
    """Notes an error instead of raising it: the other networks are to be evaluated all the same.

    Args:
        name: the network's, for the log.
    """
    failure = Failure()
    try:
        yield failure
    except Exception as error:
        logger.debug("%s", name, exc_info=error)
        text = " ".join(str(error).split())[:_LONGEST]
        if is_out_of_memory(error):
            release()
            failure.status, failure.message = "out of memory", text
        else:
            failure.status, failure.message = "failed", f"{type(error).__name__}: {text}"
