"""Which inputs a module takes, where nobody says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ghn_init.errors import TraceError
from ghn_init.graph.named_inputs import named_inputs
from ghn_init.graph.symbolic import required_arguments
from ghn_init.graph.wrappers import forward_signature, unwrapped

_BATCH = 2
_SIDES = (224, 256, 32, 64, 299, 384, 512, 128)
_FRAMES = (16, 8, 32)
_POSITIONS = 16

#: Attributes in which modules of others keep inputs to try them with.
_EXAMPLES = ("dummy_inputs", "example_input_array")


def candidate_inputs(module: nn.Module, example_inputs: Any = None) -> Iterator[dict[str, Any]]:
    """Arguments of `module.forward` to try, likely ones first; tensors on the meta device.

    The shapes are those of `example_inputs`; else what the module's `pretrained_cfg` (timm) or `image_size` states;
    else of the examples that it brings (`dummy_inputs`, `example_input_array`); else by the names of its arguments
    (`ghn_init.graph.named_inputs`); else what its first layer with weights takes, at common sizes.

    Raises:
        TraceError: `example_inputs` are not arguments of the module.
    """
    module, _ = unwrapped(module)
    if example_inputs is not None:
        yield _given(module, example_inputs)
        return
    seen: set[Any] = set()
    for arguments in _likely(module):
        key = tuple(
            (name, *((tuple(leaf.shape), leaf.dtype) for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)))
            for name, value in arguments.items()
        )
        if key not in seen:
            seen.add(key)
            yield arguments


def _likely(module: nn.Module) -> Iterator[dict[str, Any]]:
    required = required_arguments(module)
    for shape, dtype in _stated(module):
        yield {name: _tensor(shape, dtype) for name in required}
    for attribute in _EXAMPLES:
        example = getattr(module, attribute, None)
        if example is not None and (arguments := _arguments(module, example)) is not None:
            yield arguments
    for specs in named_inputs(module, _names(module), required):
        yield {name: _tensor(*spec) for name, spec in specs.items()}
    for shape, dtype in _guessed(module):
        yield {name: _tensor(shape, dtype) for name in required}


def _tensor(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _given(module: nn.Module, example_inputs: Any) -> dict[str, Any]:
    arguments = _arguments(module, example_inputs)
    if arguments is None:
        what = f"the names {sorted(example_inputs)}" if isinstance(example_inputs, Mapping) else "as many arguments"
        raise TraceError(
            f"example_inputs: {type(module).__name__}.forward does not take {what}, it takes {_names(module)}; "
            "pass a tensor, or a tuple or dict of its arguments"
        )
    return arguments


def _arguments(module: nn.Module, given: Any) -> dict[str, Any] | None:
    """Inputs by argument name, on the meta device, or None where the module's `forward` has no such arguments."""
    names = _names(module)
    if isinstance(given, Mapping):
        anything = any(p.kind is p.VAR_KEYWORD for p in forward_signature(module).parameters.values())
        if not anything and not given.keys() <= set(names):
            return None
        pairs = dict(given)
    else:
        values = given if isinstance(given, (tuple, list)) else (given,)
        if len(values) > len(names):
            return None
        pairs = dict(zip(names, values, strict=False))
    return {name: tree_map_only(torch.Tensor, _on_meta, value) for name, value in pairs.items()}


def _names(module: nn.Module) -> list[str]:
    """Names of all arguments of `module.forward`."""
    parameters = forward_signature(module).parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor, device="meta")


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
