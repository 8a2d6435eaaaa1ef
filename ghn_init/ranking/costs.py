"""What a network costs, counted without running it: parameters and multiply-adds."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from ghn_init.keeping import attributes_kept

#: `FlopCounterMode` counts a multiplication and the addition of its result as two.
_OPERATIONS = 2


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one image costs.

    Attributes:
        flops: multiply-adds of a forward pass.
        outputs: shape of what comes out of it, without the images' dimension; None if it is no tensor.
    """

    flops: int
    outputs: tuple[int, ...] | None


def flops(module: nn.Module, example: Any) -> int:
    """Multiply-adds of a forward pass.

    A multiplication with the addition of its result counts as one, the convention of torchvision's tables and of the
    papers' "FLOPs": ResNet-50 has 4.09 billion at 224 x 224 pixels. Convolutions, matrix products and attention are
    counted; elementwise operations, norms and poolings are not.

    Args:
        module: in the mode that is to be counted; stays as it is, and needs no values (meta device).
        example: its argument, or a tuple of them: tensors of any device, of which only shapes and dtypes matter. The
            count is that of the whole batch.

    Raises:
        RuntimeError: the module does not take the example, or computes with the values of its tensors, of which there
            are none here.
    """
    return _run(module, example)[0]


def cost_of_image(module: nn.Module, channels: int, size: int) -> Cost:
    """What one image of `channels` x `size` x `size` costs; errors as for `flops`.

    A batch of two is counted: batch norms without running statistics take no single one.
    """
    count, result = _run(module, torch.empty(2, channels, size, size, device="meta"))
    return Cost(count // 2, tuple(result.shape[1:]) if isinstance(result, Tensor) else None)


def on_meta(module: nn.Module) -> nn.Module:
    """A copy of a module on the meta device, for which no memory is taken."""
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): _without_values(tensor) for tensor in tensors})


def _without_values(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


@torch.no_grad()
def _run(module: nn.Module, example: Any) -> tuple[int, Any]:
    """The count of a forward pass, and its result, on the meta device."""
    tensors = [*module.parameters(), *module.buffers()]
    arguments = example if isinstance(example, tuple) else (example,)
    arguments = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), arguments)
    counter = FlopCounterMode(display=False)
    with contextlib.ExitStack() as stack:
        if all(tensor.is_meta for tensor in tensors):
            stack.enter_context(attributes_kept(module))
        else:
            module = on_meta(module)
        stack.enter_context(_without_fast_paths())
        stack.enter_context(counter)
        result = module(*arguments)
    return counter.get_total_flops() // _OPERATIONS, result


@contextlib.contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Fused transformer layers are operations that no counter knows."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
