"""What predicts, and where."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from ghn_init.checkpoints import DEFAULT, load
from ghn_init.errors import PredictionError
from ghn_init.hypernet import GHN

#: What predicts; see `ghn_init.apply`.
Source = str | Path | GHN | None


def find_ghn(ghn: Source, device: torch.device) -> tuple[str, GHN]:
    """What predicts, by whatever names it, and what reports call it.

    Raises:
        PredictionError: it is neither a name, a path nor a GHN.
        CheckpointError: the checkpoint cannot be had.
    """
    if isinstance(ghn, GHN):
        return type(ghn).__name__, ghn
    if not isinstance(ghn, (str, Path, type(None))):
        raise PredictionError(f"ghn is a name, a path or a GHN, not {type(ghn).__name__}")
    name = DEFAULT if ghn is None else str(ghn)
    return name, _default(device) if name == DEFAULT else load(name, device=device)


@lru_cache(maxsize=1)
def _default(device: torch.device) -> GHN:
    return load(DEFAULT, device=device)


def device_of(module: nn.Module) -> torch.device:
    """Where to predict: on the module's device, on the CPU for one without memory."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None or parameter.is_meta else parameter.device
