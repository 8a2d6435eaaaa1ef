"""Fitted predictors as files: numbers in a safetensors file, JSON in its header; nothing that could run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ghn_init.atomic import write_atomically
from ghn_init.properties.errors import PropertyError
from ghn_init.properties.function import KernelFunction

_KEY = "ghn_init.property_predictor"
_VERSION = 1
_TENSORS = ("centre", "spread", "support", "weights")
_NUMBERS = ("gamma", "bias", "offset", "scale")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a predictor's file says beside its function.

    Attributes:
        target: what is predicted.
        chosen: the regression.
        networks: how many it learnt from.
        checkpoint: the name of the GHN whose embeddings it takes; None for a GHN without one.
        fingerprint: of that GHN's weights before the decoder.
        image_size: side of the images of `Subject`s.
    """

    target: str
    chosen: str
    networks: int
    checkpoint: str | None
    fingerprint: str
    image_size: int


def write(path: Path, function: KernelFunction, facts: Facts) -> None:
    """Writes a file, completely or not at all.

    Raises:
        OSError: the place cannot be written to.
    """
    tensors = {name: getattr(function, name).contiguous() for name in _TENSORS}
    about: dict[str, Any] = {name: getattr(function, name) for name in ("kernel", *_NUMBERS)}
    about |= {"version": _VERSION, **dataclasses.asdict(facts)}
    metadata = {_KEY: json.dumps(about, allow_nan=False, sort_keys=True)}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def read(path: Path) -> tuple[KernelFunction, Facts]:
    """Reads what `write` wrote.

    Raises:
        PropertyError: the file is something else, or damaged; the message says what is wrong with it.
        OSError: it cannot be read.
    """
    with path.open("rb"):
        pass  # the library's own error for a missing file is less clear
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(_KEY, "null"))
            if not isinstance(about, dict):
                raise PropertyError(f"{path} holds no predictor: its header has no {_KEY!r}")
            if about.pop("version", None) != _VERSION:
                raise PropertyError(f"{path} is of another version than {_VERSION}: fit the predictor again")
            parts: dict[str, Any] = {name: _tensor(file, name) for name in _TENSORS}
        parts |= {name: float(about.pop(name)) for name in _NUMBERS}
        return KernelFunction(kernel=about.pop("kernel"), **parts), _facts(about)
    except PropertyError as error:
        raise PropertyError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PropertyError(f"{path} holds no predictor, or is damaged: {error}") from error


def _tensor(file: Any, name: str) -> Tensor:
    tensor: Tensor = file.get_tensor(name)
    if tensor.dtype != torch.float64:
        raise PropertyError(f"{name} is {tensor.dtype}, not float64")
    return tensor


_KINDS: dict[str, tuple[type, ...]] = {
    "target": (str,),
    "chosen": (str,),
    "networks": (int,),
    "checkpoint": (str, type(None)),
    "fingerprint": (str,),
    "image_size": (int,),
}


def _facts(about: dict[str, Any]) -> Facts:
    for name, kinds in _KINDS.items():
        if not isinstance(about[name], kinds):
            raise PropertyError(f"{name} is {about[name]!r}")
    return Facts(**about)
