"""Running a module without leaving a trace of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ghn_init.graph.wrappers import uncompiled
from ghn_init.keeping import attributes_kept


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The batch norms inside a module, those of libraries that inherit from torch's included."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def set_mode(module: nn.Module, *, batch_statistics: bool) -> None:
    """Evaluation mode, but for the batch norms, which use the batch's statistics if `batch_statistics`.

    Sets the flags directly, since `train()` may be overridden to do more.
    """
    for part in module.modules():
        part.training = False
    for norm in batch_norms(module):
        norm.training = batch_statistics


@contextlib.contextmanager
def measuring(module: nn.Module, *, batch_statistics: bool = True, seed: int = 0) -> Iterator[None]:
    """Sets the mode for measurements (no dropout) and the random state; afterwards all is as it was.

    All: training modes and other attributes, buffers' values and random states.

    Args:
        module: what will be run.
        batch_statistics: whether batch norms normalise by the batch, as in training, or by their running statistics.
        seed: seed of whatever is random in the module's own code.
    """
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    devices = {parameter.device for parameter in module.parameters() if parameter.is_cuda}
    try:
        with torch.random.fork_rng(devices=list(devices)), attributes_kept(module), uncompiled():
            torch.manual_seed(seed)
            set_mode(module, batch_statistics=batch_statistics)
            torch.backends.mha.set_fastpath_enabled(False)  # fused layers hide their products
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for buffer, values in buffers:
            # version counters do not tell: batch norms write past them
            if not torch.equal(buffer, values):
                with torch.no_grad():
                    buffer.copy_(values)


@contextlib.contextmanager
def restored_on_error(module: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Keeps a copy of some parameters, and writes it back if the block raises: writing and calibrating are then one.

    Args:
        module: the module.
        names: its parameters that the block writes.
    """
    saved = [(parameter, parameter.detach().clone()) for parameter in map(module.get_parameter, names)]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for parameter, values in saved:
                parameter.copy_(values)
        raise
