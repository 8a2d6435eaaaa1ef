"""The state of a training run on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_state(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` (tensors and plain values) so that `path` holds either the old state or the whole new one."""
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)


def load_state(path: str | Path) -> dict[str, Any]:
    """Inverse of `save_state`; reads tensors and plain values only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
