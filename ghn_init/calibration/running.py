"""Running a module on the first batch that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from torch import nn

from ghn_init.calibration.batches import Batch
from ghn_init.calibration.errors import CalibrationError

Result = TypeVar("Result")


def on_first_that_fits(
    module: nn.Module, candidates: Iterable[Batch], run: Callable[[Batch], Result]
) -> tuple[Batch, Result]:
    """The first batch on which `run` works, and its result.

    Raises:
        CalibrationError: `run` fails on all of them; its cause is the first failure.
    """
    failures: list[tuple[Batch, Exception]] = []
    for batch in candidates:
        try:
            return batch, run(batch)
        except CalibrationError:
            raise
        except Exception as error:  # noqa: BLE001  (the module's own code may raise anything on a wrong shape)
            failures.append((batch, error))
    batch, first = failures[0]
    raise CalibrationError(
        f"{type(module).__name__} does not run on a batch ({batch.source}): {type(first).__name__}: {first}; "
        "pass a batch that it takes, or example_inputs="
    ) from first
