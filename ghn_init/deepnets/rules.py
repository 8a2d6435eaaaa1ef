"""The rules of DeepNets-1M's splits (Knyazev et al., 2021, section 3.1 and appendix A), as data."""

from __future__ import annotations

import dataclasses
from typing import Literal

#: Splits whose networks are drawn, in and out of distribution, and the two predefined networks.
Split = Literal["train", "val", "test", "wide", "deep", "dense", "bnfree", "search", "predefined"]


@dataclasses.dataclass(frozen=True)
class Rules:
    """How the networks of a split are drawn.

    Attributes:
        cells: least and most cells.
        deep: least and most of the threshold above which a network counts as deep; it is drawn for each network.
        steps: least and most steps of a cell of a network that is not deep.
        deep_steps: most steps of a cell of a deep network.
        max_parameters: of a network of width 32, for CIFAR-10 and for ImageNet, unused ones included.
        batch_norm: whether networks have batch norms: "always", "never", or "mostly": half of the shallowest lack them.
        preprocess: with what probability networks that need no preprocessing have it, without and with self-attention.
        width: "drawn" from a range that is smaller for larger networks (what the published loader does in training),
            "grown" until the network has `GROWN_PARAMETERS` (what the parameter counts published for the evaluation
            splits show), or a number.
    """

    cells: tuple[int, int] = (4, 18)
    deep: tuple[int, int] = (7, 10)
    steps: tuple[int, int] = (1, 4)
    deep_steps: int = 2
    max_parameters: int = 10_000_000
    batch_norm: Literal["always", "never", "mostly"] = "mostly"
    preprocess: tuple[float, float] = (1.0, 0.2)
    width: Literal["drawn", "grown"] | int = "grown"


#: Parameters that networks of the evaluation splits have at least.
GROWN_PARAMETERS = 2_500_000

RULES: dict[str, Rules] = {
    "train": Rules(width="drawn"),
    "val": Rules(),
    "test": Rules(),
    "deep": Rules(cells=(10, 36), deep=(18, 18), max_parameters=100_000_000),
    "dense": Rules(steps=(2, 10), deep_steps=6, max_parameters=100_000_000),
    "bnfree": Rules(batch_norm="never"),
    "search": Rules(
        cells=(6, 20), deep=(10, 10), steps=(1, 6), deep_steps=3, batch_norm="always", preprocess=(0.8, 0.2), width=32
    ),
}

#: Splits that are another one with widths multiplied.
WIDENED: dict[str, tuple[str, int]] = {"wide": ("test", 4)}

#: Networks of each split as published; None where there is no last one.
SPLIT_SIZES: dict[str, int | None] = {
    "train": None,
    "val": 500,
    "test": 500,
    "wide": 100,
    "deep": 100,
    "dense": 100,
    "bnfree": 100,
    "predefined": 2,
    "search": 100_000,
}
