"""Which inputs a module takes, where nobody says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from ghn_init.graph.symbolic import required_arguments

_BATCH = 2
_SIDES = (224, 256, 32, 64, 299, 384, 512, 128)
_FRAMES = (16, 8, 32)
_POSITIONS = 16


def candidate_inputs(module: nn.Module, example_inputs: Any = None) -> Iterator[dict[str, Any]]:
    """Arguments of `module.forward` to try, likely ones first; tensors on the meta device.

    The shapes are those of `example_inputs`; else what the module's `pretrained_cfg` (timm) or `image_size` states;
    else what its first layer with weights takes, at common sizes.
    """
    names = required_arguments(module)
    if example_inputs is not None:
        yield _named(names, example_inputs)
        return
    seen: set[tuple[tuple[int, ...], torch.dtype]] = set()
    for shape, dtype in [*_stated(module), *_guessed(module)]:
        if (shape, dtype) not in seen:
            seen.add((shape, dtype))
            yield {name: torch.empty(shape, dtype=dtype, device="meta") for name in names}


def _named(names: list[str], given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return {name: _on_meta(value) for name, value in given.items()}
    values = given if isinstance(given, (tuple, list)) else (given,)
    return {name: _on_meta(value) for name, value in zip(names, values, strict=False)}


def _on_meta(value: Any) -> Any:
    return torch.empty_like(value, device="meta") if isinstance(value, torch.Tensor) else value


def _stated(module: nn.Module) -> Iterator[tuple[tuple[int, ...], torch.dtype]]:
    for holder in ("pretrained_cfg", "default_cfg"):
        config = getattr(module, holder, None)
        size = config.get("input_size") if isinstance(config, dict) else getattr(config, "input_size", None)
        if size:
            yield (_BATCH, *size), torch.float32
    side = getattr(module, "image_size", None)
    if isinstance(side, int):
        yield (_BATCH, 3, side, side), torch.float32


def _guessed(module: nn.Module) -> Iterator[tuple[tuple[int, ...], torch.dtype]]:
    for layer in module.modules():
        for kind, shapes in _SHAPES_BY_LAYER:
            if isinstance(layer, kind):
                for shape in shapes(layer):
                    yield (_BATCH, *shape), torch.long if kind is nn.Embedding else torch.float32
                return


def _conv_shapes(layer: Any) -> Iterator[tuple[int, ...]]:
    for side in _SIDES:
        yield (layer.in_channels, side, side)


def _conv1d_shapes(layer: Any) -> Iterator[tuple[int, ...]]:
    for length in _SIDES:
        yield (layer.in_channels, length)


def _conv3d_shapes(layer: Any) -> Iterator[tuple[int, ...]]:
    for frames in _FRAMES:
        for side in _SIDES:
            yield (layer.in_channels, frames, side, side)


def _linear_shapes(layer: Any) -> Iterator[tuple[int, ...]]:
    yield (layer.in_features,)
    yield (_POSITIONS, layer.in_features)
    for channels in (3, 1):
        side = math.isqrt(layer.in_features // channels)
        if channels * side * side == layer.in_features:
            yield (channels, side, side)


_SHAPES_BY_LAYER: tuple[tuple[type[nn.Module], Callable[[Any], Iterator[tuple[int, ...]]]], ...] = (
    (nn.Conv2d, _conv_shapes),
    (nn.Conv1d, _conv1d_shapes),
    (nn.Conv3d, _conv3d_shapes),
    (nn.Embedding, lambda layer: iter([(_POSITIONS,)])),
    (nn.Linear, _linear_shapes),
    (nn.MultiheadAttention, lambda layer: iter([(_POSITIONS, layer.embed_dim)])),
    (nn.LayerNorm, lambda layer: iter([tuple(layer.normalized_shape), (_POSITIONS, *layer.normalized_shape)])),
    (nn.RNNBase, lambda layer: iter([(_POSITIONS, layer.input_size)])),
)
