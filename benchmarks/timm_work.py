"""What the work of timm's scaled models grows with: the constants in `ghn_init/deepnets/timm_families.py`.

    python benchmarks/timm_work.py [FAMILY ...]

For each family 60 models at random widths, depths and variants: multiply-adds of a forward pass of one 32x32 image, as
`torch.utils.flop_counter` counts them, fitted by a product of powers and factors. Prints them, how far off the fit is
(the median and the largest ratio), and the models' sizes; a model that cannot be built is an error.
"""

from __future__ import annotations

import math
import statistics
import sys
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.deepnets import TimmArchitecture
from ghn_init.deepnets.streams import Choices
from ghn_init.deepnets.timm_families import FAMILIES

SAMPLES = 60
RIDGE = 0.02


def drawn(name: str, index: int) -> TimmArchitecture:
    """A model of the family."""
    choices, family = Choices("work", name, index), FAMILIES[name]
    model, width = choices.one_of(family.models), choices.one_of(family.widths)
    depths = tuple(choices.within(*bounds) for bounds in family.depths)
    variant = tuple((argument, choices.one_of(tuple(values))) for argument, values in family.variants.items())
    return TimmArchitecture(name, model, width, depths, variant)


def measured(architecture: TimmArchitecture) -> tuple[float, int]:
    """Multiply-adds and parameters."""
    with torch.device("meta"):
        network = architecture.build()
        if not architecture.fixed_resolution:
            network(torch.empty(2, 3, 16, 16))
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(2, 3, 32, 32))
    # torch counts two operations a multiply-add, here of two images
    return counter.get_total_flops() / 4, sum(parameter.numel() for parameter in network.parameters())


def fit(name: str) -> dict[str, Any]:
    """Work, powers and factors of a family."""
    family = FAMILIES[name]
    further = [(argument, value) for argument, values in family.variants.items() for value in list(values)[1:]]
    rows, targets, sizes = [], [], []
    for index in range(SAMPLES):
        architecture = drawn(name, index)
        try:
            work, size = measured(architecture)
        except Exception as error:
            raise RuntimeError(f"{architecture} cannot be built") from error
        width = math.log(architecture.width) if len(family.widths) > 1 else 0.0
        chosen = [float(one in architecture.variant) for one in further]
        rows.append([1.0, width, math.log(sum(architecture.depths)), *chosen])
        targets.append(math.log(work))
        sizes.append(size)
    ridge = RIDGE * np.eye(len(rows[0]))
    found = np.linalg.lstsq(np.vstack([rows, ridge]), np.array([*targets, *np.zeros(len(ridge))]), rcond=None)[0]
    ratios = np.exp(np.abs(np.array(rows) @ found - targets))
    return {
        "work": (float(f"{math.exp(found[0]):.3g}"), *(round(float(power), 2) for power in found[1:3])),
        "factors": {one: round(math.exp(factor), 2) for one, factor in zip(further, found[3:], strict=True)},
        "off": tuple(round(float(one), 2) for one in (statistics.median(ratios), max(ratios))),
        "parameters": (min(sizes), int(statistics.median(sizes)), max(sizes)),
    }


if __name__ == "__main__":
    for family_name in sys.argv[1:] or FAMILIES:
        Console(width=200).print(family_name, fit(family_name))
