"""Between a GHN and its tensors: building one from a state dict that was checked first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ghn_init.checkpoints.values import checked_values
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHN, GHNConfig


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: missing, or not a safetensors file.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}.") from error
    return tensors


def build(config: GHNConfig, tensors: Mapping[str, Tensor], where: str) -> GHN:
    """A GHN with the given weights, in evaluation mode, on the CPU, in float32.

    Args:
        config: the architecture.
        tensors: its whole state dict; tensors that are float32 already become the GHN's own, not copied.
        where: what the tensors were read from, for error messages.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape, no floating-point numbers, or not finite.
    """
    with torch.device("meta"):
        ghn = GHN(config)
    check_names(ghn.state_dict(), tensors, where)
    state = {name: checked_values(tensor, name, where) for name, tensor in tensors.items()}
    ghn.load_state_dict(state, assign=True)
    return ghn.eval()


def check_names(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> None:
    """Compares names and shapes.

    Raises:
        CheckpointError: they differ; the first differences are named.
    """
    wrong = [
        f"{name!r} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    missing = [repr(name) for name in expected if name not in tensors]
    unexpected = [repr(name) for name in tensors if name not in expected]
    problems = [
        f"{what} {', '.join(items[:4])}{f' and {len(items) - 4} more' if len(items) > 4 else ''}"
        for what, items in (("missing:", missing), ("unexpected:", unexpected), ("wrong shape:", wrong))
        if items
    ]
    if problems:
        raise CheckpointError(f"{where}: its tensors do not fit its configuration: {'; '.join(problems)}.")
