"""Random architectures: architecture i of a split is a function of (split, i, seed), the same on every machine."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Literal, get_args, overload

from ghn_init.deepnets.classic import Classic
from ghn_init.deepnets.predefined import PREDEFINED
from ghn_init.deepnets.rules import GROWN_PARAMETERS, RULES, SPLIT_SIZES, WIDENED, Rules, Split
from ghn_init.deepnets.sizes import count_parameters
from ghn_init.deepnets.spec import PRIMITIVES, WEIGHTLESS, Architecture, CellGenotype
from ghn_init.deepnets.streams import Choices

SPLITS: tuple[Split, ...] = get_args(Split)

#: The width at which sizes are checked.
REFERENCE_WIDTH = 32
WIDTHS = tuple(range(32, 129, 16))
#: Widths that networks grow through.
GROWN_WIDTHS = range(32, 4097, 16)
FC_DIMS = tuple(range(64, 513, 64))
#: The side at which a flattened feature map has the extent that it has in the published network for ImageNet.
LARGE_IMAGE = 56

Random = Literal["train", "val", "test", "wide", "deep", "dense", "bnfree", "search"]


@overload
def sample(split: Random, index: int, seed: int = 0) -> Architecture: ...


@overload
def sample(split: str, index: int, seed: int = 0) -> Architecture | Classic: ...


def sample(split: str, index: int, seed: int = 0) -> Architecture | Classic:
    """Architecture `index` of `split`.

    Args:
        split: "train", "val" or "test", in distribution; "wide" (those of "test", four times as wide), "deep", "dense"
            (more steps in a cell) or "bnfree", out of it; "search", with more cells and steps; or "predefined",
            ResNet-50 and ViT.
        index: which one, from 0. `SPLIT_SIZES` says how many the published split has; there are more of all but
            "predefined".
        seed: another seed, another DeepNets.

    Raises:
        ValueError: an unknown split, a negative index, or one that "predefined" does not have.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known are {', '.join(SPLITS)}")
    if index < 0:
        raise ValueError(f"index={index} must not be negative")
    if split == "predefined":
        if index >= len(PREDEFINED):
            raise ValueError(f"index={index}: the predefined split has {SPLIT_SIZES[split]} networks")
        return PREDEFINED[index]
    if split in WIDENED:
        narrow, factor = WIDENED[split]
        architecture = _sample(narrow, index, seed)
        return architecture.with_width(factor * architecture.width)
    return _sample(split, index, seed)


def _sample(split: str, index: int, seed: int) -> Architecture:
    choices = Choices(split, index, seed)
    while True:
        candidate = _draw(choices, RULES[split])
        if candidate is not None:
            return candidate


def _cell(choices: Choices, steps: int, allowed: tuple[str, ...], output: tuple[int, ...]) -> CellGenotype:
    drawn = []
    for step in range(steps):
        first, second = choices.two_below(step + 2)
        drawn.append(((choices.one_of(allowed), first), (choices.one_of(allowed), second)))
    return CellGenotype(steps=tuple(drawn), output=output)


def _draw(choices: Choices, rules: Rules) -> Architecture | None:
    """One attempt; None if it breaks a rule."""
    n_cells = choices.within(*rules.cells)
    deep = n_cells > choices.within(*rules.deep)
    least_steps, most_steps = rules.steps
    steps = choices.within(least_steps, rules.deep_steps if deep else most_steps)
    several = steps > 1

    # 'none' needs a second way for the signal to pass
    allowed = tuple(primitive for primitive in PRIMITIVES if several or primitive != "none")
    pooling_only = choices.coin()
    drop = several and choices.coin()
    output = tuple(state for state in range(2, steps + 2) if state == steps + 1 or not drop or choices.coin())
    normal = _cell(choices, steps, allowed, output)
    in_reduction = tuple(primitive for primitive in allowed if not pooling_only or primitive in WEIGHTLESS)
    reduction = _cell(choices, steps, in_reduction, output)
    if not _acceptable(normal, reduction):
        return None

    attention = "msa" in normal.primitives + reduction.primitives
    width_mult = choices.one_of((1, 2))
    preprocess = several or width_mult > 1 or choices.coin(rules.preprocess[attention])
    stem = choices.one_of(("simple", "imagenet"))
    shallow = n_cells <= rules.cells[0] + 1 and steps <= rules.deep_steps
    architecture = Architecture(
        normal=normal,
        reduction=reduction,
        n_cells=n_cells,
        width=REFERENCE_WIDTH,
        width_mult=width_mult,
        stem=stem,  # type: ignore[arg-type]
        stem_kernel=choices.one_of((3, 5, 7)),
        stem_pool=stem == "simple" and choices.coin(),
        batch_norm=rules.batch_norm == "always" or (rules.batch_norm == "mostly" and (not shallow or choices.coin())),
        preprocess=preprocess,
        pool_head=attention or deep or choices.coin(0.9),
        fc_layers=choices.one_of((1, 2)),
    )
    size = count_parameters(architecture, dead=True)
    # for large images only networks of fixed resolution have another size
    large = count_parameters(architecture, 10, LARGE_IMAGE, dead=True) if architecture.fixed_resolution else size
    if size == 0 or max(size, large) > rules.max_parameters:
        return None
    if rules.width == "drawn":
        return _widen(choices, architecture, size)
    return architecture.with_width(_grown_width(architecture) if rules.width == "grown" else rules.width)


def _grown_width(architecture: Architecture) -> int:
    def size(width: int) -> int:
        return count_parameters(architecture.with_width(width), dead=True)

    return GROWN_WIDTHS[bisect.bisect_left(GROWN_WIDTHS, GROWN_PARAMETERS, key=size)]


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


def _widen(choices: Choices, architecture: Architecture, size: int) -> Architecture:
    """Draw width and classifier width; the larger the network at `REFERENCE_WIDTH`, the narrower the range."""
    large_kernels = any(primitive in {"conv_5x5", "conv_7x7"} for primitive in architecture.primitives)
    if size > 800_000 or not architecture.pool_head or large_kernels or architecture.n_cells > 12:
        widths = WIDTHS[:1]
    elif size > 400_000 or architecture.n_cells > 10:
        widths = WIDTHS[:2]
    elif size > 200_000 or architecture.n_cells > 8:
        widths = WIDTHS[:3]
    else:
        widths = WIDTHS
    width = choices.one_of(widths)
    fc_dims = FC_DIMS if widths == WIDTHS and width <= 64 else FC_DIMS[:4]
    return dataclasses.replace(architecture, width=width, fc_dim=choices.one_of(fc_dims))
