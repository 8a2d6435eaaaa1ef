"""Random architectures: architecture i of a split is a function of (split, i, seed), the same on every machine.

The rules are those of DeepNets-1M's in-distribution splits (Knyazev et al., 2021, appendix A).
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Literal, TypeVar, get_args

import numpy as np

from ghn_init.deepnets.sizes import count_parameters
from ghn_init.deepnets.spec import PRIMITIVES, WEIGHTLESS, Architecture, CellGenotype

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

MIN_CELLS, MAX_CELLS = 4, 18
MAX_PARAMETERS = 10_000_000
#: The width at which `MAX_PARAMETERS` is checked.
REFERENCE_WIDTH = 32
WIDTHS = tuple(range(32, 129, 16))
FC_DIMS = tuple(range(64, 513, 64))

T = TypeVar("T")


def sample(split: Split, index: int, seed: int = 0) -> Architecture:
    """Architecture `index` of `split`.

    Args:
        split: "train", "val" or "test": independent streams.
        index: which one, from 0; there is no last one.
        seed: another seed, another DeepNets.

    Raises:
        ValueError: an unknown split or a negative index.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known are {', '.join(SPLITS)}")
    if index < 0:
        raise ValueError(f"index={index} must not be negative")
    rng = stream(split, index, seed)
    while True:
        candidate = _draw(rng)
        if candidate is not None:
            return candidate


def stream(*key: str | int) -> np.random.Generator:
    """A random generator that depends on `key` alone, not on the machine or on what was drawn before."""
    digest = hashlib.blake2b(repr(("ghn_init.deepnets", *key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _choose(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    return options[int(rng.integers(len(options)))]


def _coin(rng: np.random.Generator, probability: float = 0.5) -> bool:
    return bool(rng.random() < probability)


def _cell(rng: np.random.Generator, steps: int, allowed: tuple[str, ...], output: tuple[int, ...]) -> CellGenotype:
    drawn = []
    for step in range(steps):
        first, second = (int(source) for source in rng.permutation(step + 2)[:2])
        drawn.append(((_choose(rng, allowed), first), (_choose(rng, allowed), second)))
    return CellGenotype(steps=tuple(drawn), output=output)


def _draw(rng: np.random.Generator) -> Architecture | None:
    """One attempt; None if it breaks a rule."""
    n_cells = int(rng.integers(MIN_CELLS, MAX_CELLS + 1))
    deep = n_cells > int(rng.integers(7, 11))
    steps = int(rng.integers(1, (2 if deep else 4) + 1))
    several = steps > 1

    # 'none' needs a second way for the signal to pass
    allowed = tuple(primitive for primitive in PRIMITIVES if several or primitive != "none")
    pooling_only = _coin(rng)
    drop = several and _coin(rng)
    output = tuple(state for state in range(2, steps + 2) if state == steps + 1 or not drop or _coin(rng))
    normal = _cell(rng, steps, allowed, output)
    in_reduction = tuple(primitive for primitive in allowed if not pooling_only or primitive in WEIGHTLESS)
    reduction = _cell(rng, steps, in_reduction, output)
    if not _acceptable(normal, reduction):
        return None

    attention = "msa" in normal.primitives + reduction.primitives
    width_mult = _choose(rng, (1, 2))
    preprocess = several or width_mult > 1 or not attention or _coin(rng, 0.2)
    stem = _choose(rng, ("simple", "imagenet"))
    shallow = n_cells <= MIN_CELLS + 1 and steps <= 2
    architecture = Architecture(
        normal=normal,
        reduction=reduction,
        n_cells=n_cells,
        width=REFERENCE_WIDTH,
        width_mult=width_mult,
        stem=stem,  # type: ignore[arg-type]
        stem_kernel=_choose(rng, (3, 5, 7)),
        stem_pool=stem == "simple" and _coin(rng),
        batch_norm=not shallow or _coin(rng),
        preprocess=preprocess,
        pool_head=attention or deep or _coin(rng, 0.9),
        fc_layers=_choose(rng, (1, 2)),
    )
    size = count_parameters(architecture)
    if not 0 < size <= MAX_PARAMETERS:
        return None
    return _widen(rng, architecture, size)


def _acceptable(normal: CellGenotype, reduction: CellGenotype) -> bool:
    """Whether the cells keep clear of what trains badly or takes too much memory, and have any weights."""
    for cell in (normal, reduction):
        if cell.primitives.count("cse") > 1:
            return False
        if sum(primitive in {"conv_5x5", "conv_7x7"} for primitive in cell.primitives) > 1:
            return False
    both = normal.primitives + reduction.primitives
    has_conv = any("conv" in primitive for primitive in both)
    return has_conv or ("msa" in both and "cse" not in both)


def _widen(rng: np.random.Generator, architecture: Architecture, size: int) -> Architecture:
    """Draw width and classifier width; the larger the network at `REFERENCE_WIDTH`, the narrower the range."""
    dense = any(primitive in {"conv_5x5", "conv_7x7"} for primitive in architecture.primitives)
    if size > 800_000 or not architecture.pool_head or dense or architecture.n_cells > 12:
        choices = 1
    elif size > 400_000 or architecture.n_cells > 10:
        choices = 2
    elif size > 200_000 or architecture.n_cells > 8:
        choices = 3
    else:
        choices = len(WIDTHS)
    width = _choose(rng, WIDTHS[:choices])
    fc_dims = FC_DIMS if choices == len(WIDTHS) and width <= 64 else FC_DIMS[:4]
    return dataclasses.replace(architecture, width=width, fc_dim=_choose(rng, fc_dims))
