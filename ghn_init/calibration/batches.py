"""The batch on which a module is measured: given, from a loader, or random."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from ghn_init.calibration.errors import CalibrationError
from ghn_init.graph.inputs import candidate_inputs
from ghn_init.graph.symbolic import required_arguments
from ghn_init.graph.wrappers import forward_signature

#: Examples in a random batch: few, since each position of each channel counts as well.
EXAMPLES = 4
#: Random token ids are below this where no embedding says how many there are.
_IDS = 2


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arguments of a module's forward.

    Attributes:
        arguments: by name, on the module's device.
        source: where they are from, for reports: "random" or "given", and shapes.
    """

    arguments: dict[str, Any]
    source: str


def batches(
    module: nn.Module, batch: Any = None, *, example_inputs: Any = None, seed: int = 0, examples: int = EXAMPLES
) -> Iterator[Batch]:
    """Batches to run a module on: the given one, or random ones of the shapes that it may take, likely ones first.

    Args:
        module: the module, with its parameters in memory.
        batch: a tensor, a tuple, list of tensors or dict of arguments, or a loader (an iterable of these), of which
            the first is taken.
            Of a tuple the module gets as many as its forward requires, so that (images, labels) does; of a dict those
            that its forward has.
        example_inputs: shapes and dtypes for random batches, as in `ghn_init.trace`.
        seed: seed of the random numbers: standard normal ones, token ids uniform.
        examples: number of examples of random batches whose shapes are not given.

    Raises:
        CalibrationError: the module is on the meta device, the loader is empty, or nothing says which inputs it takes.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        raise CalibrationError(
            f"{type(module).__name__} has parameters on the meta device, which hold no values to measure; "
            "call module.to_empty(device=...) and write its weights first"
        )
    if batch is not None:
        yield _of(module, _given(module, _first_batch(batch)), "given")
        return
    found = False
    for shapes in candidate_inputs(module, example_inputs):
        found = True
        generator = torch.Generator().manual_seed(seed)
        count = None if example_inputs is not None else examples
        values = {name: _random(module, value, generator, count) for name, value in shapes.items()}
        yield _of(module, values, "random")
    if not found:
        raise CalibrationError(
            f"{type(module).__name__}: cannot tell which inputs it takes; pass a batch, or example_inputs= "
            "(a tensor, or a tuple or dict of arguments)"
        )


def arguments_of(module: nn.Module, item: Any, device: torch.device | str | None = None) -> dict[str, Any]:
    """The arguments of a module's forward that are in one item of a loader, on a device, by default the module's."""
    return _of(module, _given(module, item), "given", device).arguments


def is_wanted(calibrate: Any) -> bool:
    """Whether what was given for `calibrate=` asks for it: True or a batch, not None, False or 0."""
    return calibrate is not None and (bool(calibrate) if isinstance(calibrate, (bool, int)) else True)


def batch_in(calibrate: Any) -> Any:
    """The batch, or the first of the loader, that was given for `calibrate=`; None for random numbers.

    Raises:
        CalibrationError: as for `calibrate`.
    """
    return None if isinstance(calibrate, (bool, int)) else _first_batch(calibrate)


def _first_batch(batch: Any) -> Any:
    """The batch itself, or the first of a loader.

    Raises:
        CalibrationError: the loader is empty, or it is neither.
    """
    if isinstance(batch, (Tensor, tuple, Mapping)) or (
        isinstance(batch, list) and batch and isinstance(batch[0], Tensor)
    ):
        return batch
    if not isinstance(batch, Iterable):
        raise CalibrationError(
            f"a batch is a tensor, a tuple or dict of arguments, or a loader, not {type(batch).__name__}"
        )
    for item in batch:
        return item
    raise CalibrationError("the loader is empty")


def _given(module: nn.Module, batch: Any) -> dict[str, Any]:
    if isinstance(batch, Mapping):
        accepted = forward_signature(module).parameters
        anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        chosen = {str(name): value for name, value in batch.items() if anything or name in accepted}
        if not chosen:
            raise CalibrationError(
                f"none of the batch's keys {sorted(map(str, batch))} is an argument of {type(module).__name__}.forward"
            )
        return chosen
    names = required_arguments(module)
    values = batch if isinstance(batch, (tuple, list)) else (batch,)
    if len(values) < len(names):
        raise CalibrationError(
            f"{type(module).__name__}.forward requires {names}, and the batch has {len(values)} of these"
        )
    return dict(zip(names, values, strict=False))


def _of(module: nn.Module, arguments: dict[str, Any], kind: str, device: torch.device | str | None = None) -> Batch:
    reference = next((p for p in module.parameters() if p.is_floating_point()), None)

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or reference is None:
            return leaf
        return leaf.to(device or reference.device, reference.dtype if leaf.is_floating_point() else leaf.dtype)

    arguments = {name: tree_map(placed, value) for name, value in arguments.items()}
    shapes = ", ".join(f"{name} {shape}" for name, value in arguments.items() for shape in _shapes(value))
    return Batch(arguments, f"{kind}: {shapes}")


def _shapes(value: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


def _random(module: nn.Module, like: Any, generator: torch.Generator, examples: int | None) -> Any:
    def drawn(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        shape = leaf.shape if examples is None else (examples, *leaf.shape[1:])
        if leaf.is_floating_point() or leaf.is_complex():
            return torch.randn(shape, generator=generator, dtype=leaf.dtype)
        ids = next((part.num_embeddings for part in module.modules() if isinstance(part, nn.Embedding)), _IDS)
        return torch.randint(ids if leaf.dtype != torch.bool else 2, shape, generator=generator).to(leaf.dtype)

    return tree_map(drawn, like)
