"""Inputs of modules whose `forward` names what it takes, as those of transformers do: `pixel_values`, `input_ids`, ...

Such a module has a `config`, which states the sizes, and may name its main input as `main_input_name`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

_BATCH = 2
_TOKENS = 16
_SIDES = (224, 256, 64)
_FRAMES = 100
_SAMPLES = 16_000

#: Shape and dtype of an argument.
Spec = tuple[tuple[int, ...], torch.dtype]


def named_inputs(module: nn.Module, arguments: list[str], required: list[str]) -> Iterator[dict[str, Spec]]:
    """Likely inputs of a module by the names of its arguments, the fewest first.

    Args:
        module: the module; what its `config` states is used.
        arguments: names of all arguments of its `forward`.
        required: those without a default, or the first.
    """
    config = getattr(module, "config", None)
    known = {name: list(_SPECS[name](config)) for name in arguments if name in _SPECS}
    main = [name for name in (getattr(module, "main_input_name", None),) if name in known]
    for names in (main or required, list(dict.fromkeys([*main, *known]))):
        if names and all(name in known for name in names):
            for specs in itertools.product(*(known[name] for name in names)):
                yield dict(zip(names, specs, strict=True))


def _fact(config: Any, *names: str) -> Any:
    """What a configuration, or else one of its parts, states under the first of the names."""
    parts = vars(config).values() if hasattr(config, "__dict__") else ()
    for holder in (config, *(part for part in parts if hasattr(part, "__dict__"))):
        for name in names:
            if getattr(holder, name, None) is not None:
                return getattr(holder, name)
    return None


def _image_shapes(config: Any) -> Iterator[Spec]:
    channels = _fact(config, "num_channels", "in_channels") or 3
    size = _fact(config, "image_size")
    for side in _SIDES if size is None else (size,):
        extents = (side, side) if isinstance(side, int) else tuple(side)
        frames = _fact(config, "num_frames")
        if frames is not None:
            yield (_BATCH, frames, channels, *extents), torch.float32
        yield (_BATCH, channels, *extents), torch.float32


def _token_shapes(config: Any) -> Iterator[Spec]:
    yield (_BATCH, min(_TOKENS, _fact(config, "max_position_embeddings", "n_positions") or _TOKENS)), torch.long


def _sound_shapes(config: Any) -> Iterator[Spec]:
    bins = _fact(config, "num_mel_bins", "input_feat_per_channel")
    if bins is not None:
        for frames in dict.fromkeys((_fact(config, "max_length") or _FRAMES, _FRAMES)):
            yield (_BATCH, frames, bins), torch.float32
    yield (_BATCH, _SAMPLES), torch.float32


def _spectrum_shapes(config: Any) -> Iterator[Spec]:
    bins = _fact(config, "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim") or 80
    positions = _fact(config, "max_source_positions")
    if positions is not None:  # two frames a position
        yield (_BATCH, bins, 2 * positions), torch.float32
    yield (_BATCH, _FRAMES, bins), torch.float32


#: The shapes that an argument of this name may have, given a configuration.
_SPECS: Mapping[str, Callable[[Any], Iterator[Spec]]] = {
    "pixel_values": _image_shapes,
    "pixel_values_videos": _image_shapes,
    "input_ids": _token_shapes,
    "decoder_input_ids": _token_shapes,
    "input_values": _sound_shapes,
    "input_features": _spectrum_shapes,
}
