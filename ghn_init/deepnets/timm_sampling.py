"""Random models of timm, small enough to train on 32x32 images."""

from __future__ import annotations

from ghn_init.deepnets.streams import Choices
from ghn_init.deepnets.timm_families import FAMILIES
from ghn_init.deepnets.timm_models import TimmArchitecture


def timm_architecture(index: int, seed: int = 0) -> TimmArchitecture:
    """A model of timm at a random width and depth, varied in other ways as well, for 16x16 or 32x32 images.

    Args:
        index: which one, from 0; there is no last one, but they repeat.
        seed: another seed, other models.

    Raises:
        ValueError: a negative index.
    """
    if index < 0:
        raise ValueError(f"index={index} must not be negative")
    choices = Choices("timm", index, seed)
    name = choices.one_of(tuple(FAMILIES))
    family = FAMILIES[name]
    model = choices.one_of(family.models)
    width = choices.one_of(family.widths)
    depths = tuple(choices.within(*bounds) for bounds in family.depths)
    variant = tuple((argument, choices.one_of(tuple(values))) for argument, values in family.variants.items())
    return TimmArchitecture(name, model, width, depths, variant)
