"""What can go wrong with one network among many."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from ghn_init.memory import is_out_of_memory, release

logger = logging.getLogger(__name__)

#: How it went with a network: "not finite" if some logits are not; the last two leave no accuracy. One that is
#: "over budget" was not asked for any.
Status = Literal["ok", "not finite", "over budget", "out of memory", "failed"]
#: Without an accuracy, and worth another try when an evaluation goes on.
FAILURES: tuple[Status, ...] = ("out of memory", "failed")
_LONGEST = 300


class Outcome(Protocol):
    """A frozen dataclass that says what came of some work; it has a float field `seconds`, too."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """The network's, for the log."""
        ...

    @property
    def status(self) -> Status:
        """How it went."""
        ...

    @property
    def message(self) -> str:
        """What went wrong, in one line; empty for nothing."""
        ...


AnyOutcome = TypeVar("AnyOutcome", bound=Outcome)


def noted(blank: AnyOutcome, work: Callable[[AnyOutcome], AnyOutcome]) -> AnyOutcome:
    """``work(blank)``, or `blank` with the error that `work` raises: the other networks are worked on all the same.

    Args:
        blank: the outcome as it is before the work.
        work: fills it in.

    Returns:
        The outcome, with the time that it took; after an error its status is "out of memory" or "failed".
    """
    started = time.perf_counter()
    try:
        found = work(blank)
    except Exception as error:
        logger.debug("%s", blank.name, exc_info=error)
        text, kind = " ".join(str(error).split())[:_LONGEST], type(error).__name__
        if is_out_of_memory(error):
            found = dataclasses.replace(blank, status="out of memory", message=text or kind)
        else:
            found = dataclasses.replace(blank, status="failed", message=f"{kind}: {text}" if text else kind)
    if found.status == "out of memory":
        release()  # not before the error is gone, whose traceback holds the tensors
    return dataclasses.replace(found, seconds=round(time.perf_counter() - started, 3))
