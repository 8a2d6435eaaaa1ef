"""A family of timm's models: what scales them, in which ways they differ, and what that costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

#: The keyword arguments of a model of some width, depths and variant.
Options = Callable[..., dict[str, Any]]
#: Values of an argument, the usual one first, with what they multiply the work with.
Variants = Mapping[str, Mapping[Any, float]]


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are scaled by the same arguments.

    Attributes:
        models: names in timm's registry, or in `ghn_init.deepnets.timm_classes.CLASSES`.
        options: the keyword arguments, given a width, depths, and further arguments, which it may use or pass on.
        widths: widths to choose from; what a width is differs by family.
        depths: for each stage, least and most blocks.
        work: multiply-adds for a 32x32 image at width 1 and with one block, and the powers of the width and of the
            number of blocks that they grow with: a fit to `torch.utils.flop_counter` over the family.
        sized: whether a model is built for images of one size, or for none as small as 16x16.
        size_argument: the argument that says for which, if there is one.
        variants: further arguments in which models differ. Without them a GHN knows each family by a pattern, and
            nothing about a model that departs from it (`benchmarks/training.md`).
    """

    models: tuple[str, ...]
    options: Options
    widths: tuple[int, ...]
    depths: tuple[tuple[int, int], ...]
    work: tuple[float, float, float]
    sized: bool = False
    size_argument: str | None = "img_size"
    variants: Variants = dataclasses.field(default_factory=dict)


#: Channels of the stages, in multiples of the first one's.
GROWTH = ((1, 2, 4, 8), (1, 2, 3, 4), (1, 2, 5, 8))
ONE_TO_EIGHT = GROWTH[0]


def any_of(*values: Any) -> dict[Any, float]:
    """Values that do not change the work."""
    return dict.fromkeys(values, 1.0)


def times(width: int, growth: tuple[int, ...]) -> tuple[int, ...]:
    """Channels of the stages."""
    return tuple(width * factor for factor in growth)


def given(width: int, depths: tuple[int, ...], **further: Any) -> dict[str, Any]:
    """Of what `ghn_init.deepnets.timm_builders` makes."""
    return {"width": width, "depths": depths, **further}


def uniform(width: int, depths: tuple[int, ...], **further: Any) -> dict[str, Any]:
    """Of a transformer with blocks that are all alike."""
    return {"patch_size": 4, "embed_dim": width, "depth": depths[0], "num_heads": width // 32, **further}


def layers(
    width: int, depths: tuple[int, ...], growth: tuple[int, ...] = ONE_TO_EIGHT, **further: Any
) -> dict[str, Any]:
    """Of a residual network."""
    return {"layers": depths, "channels": times(width, growth), "output_stride": 8, **further}


def dims(width: int, depths: tuple[int, ...], growth: tuple[int, ...] = ONE_TO_EIGHT, **further: Any) -> dict[str, Any]:
    """Of a network of stages, in ConvNeXt's terms."""
    return {"depths": depths, "dims": times(width, growth), **further}


def named(**names: str) -> Options:
    """Options of models that call width and depths otherwise: names of "depths", "widths" and "heads"."""

    def options(
        width: int, depths: tuple[int, ...], growth: tuple[int, ...] = ONE_TO_EIGHT, **further: Any
    ) -> dict[str, Any]:
        widths = times(width, growth)[: len(depths)]
        values = {"depths": depths, "widths": widths, "heads": tuple(max(1, one // 16) for one in widths)}
        return {name: values[what] for what, name in names.items()} | further

    return options


#: One or two blocks in each of four stages.
FOUR = ((1, 2),) * 4
ACTIVATIONS = any_of("relu", "silu", "gelu")
