"""A linear probe before training: any start, and the head fitted to some labelled batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ghn_init.calibration.head import fit_head
from ghn_init.errors import StrategyError
from ghn_init.strategies.initialise import initialise


def linear_probe(
    module: nn.Module,
    start: str = "ghn",
    *,
    batches: Iterable[Any] | None = None,
    examples: int | None = None,
    seed: int = 0,
    example_inputs: Any = None,
) -> None:
    """Another start, and then the classifier head fitted to labelled examples (Kumar et al., 2022, LP-FT).

    Args:
        module: the module.
        start: spec of the other start, a comma in it written %2C.
        batches: labelled batches, as for `ghn_init.fit_head`.
        examples: how many of them at least, ten for each class by default.
        seed: of the other start.
        example_inputs: as for `ghn_init.trace`.

    Raises:
        StrategyError: there are no batches.
        CalibrationError: as for `ghn_init.fit_head`.
        GHNInitError: what the other start raises.
    """
    if batches is None:
        raise StrategyError(
            "linear_probe needs labelled batches, which ghn-init compare has and a training script has not at the time "
            "of its initialisation: call ghn_init.fit_head(model, loader) once there is a loader"
        )
    initialise(module, start, seed=seed, example_inputs=example_inputs)
    fit_head(module, batches, examples=examples, example_inputs=example_inputs, seed=seed)
