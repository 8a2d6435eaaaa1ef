"""Families of timm's models with what scales them, as a table."""

from __future__ import annotations

from ghn_init.deepnets.timm_convolutional import CONVOLUTIONAL
from ghn_init.deepnets.timm_family import Family
from ghn_init.deepnets.timm_mixing import MIXING

FAMILIES: dict[str, Family] = {**CONVOLUTIONAL, **MIXING}
