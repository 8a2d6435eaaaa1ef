"""The state of a training run on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ghn_init.atomic import write_atomically


def save_state(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` (tensors and plain values) so that `path` holds either the old state or the whole new one."""
    write_atomically(Path(path), lambda temporary: torch.save(state, temporary))


def load_state(path: str | Path) -> dict[str, Any]:
    """Inverse of `save_state`; reads tensors and plain values only."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
