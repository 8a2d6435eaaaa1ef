"""Running a module without leaving a trace of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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

    All: training modes, buffers (values and identity), gradients' presence and random states.

    Args:
        module: what will be run.
        batch_statistics: whether batch norms normalise by the batch, as in training, or by their running statistics.
        seed: seed of whatever is random in the module's own code.
    """
    flags = [(part, part.training) for part in module.modules()]
    buffers = [
        (part, name, buffer, None if buffer is None else buffer.detach().clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
    ]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    devices = {parameter.device for parameter in module.parameters() if parameter.is_cuda}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            torch.manual_seed(seed)
            set_mode(module, batch_statistics=batch_statistics)
            torch.backends.mha.set_fastpath_enabled(False)  # fused layers hide their products
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for part, flag in flags:
            part.training = flag
        for part, name, buffer, saved in buffers:
            _restore(part, name, buffer, saved)
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _restore(part: nn.Module, name: str, buffer: Tensor | None, saved: Tensor | None) -> None:
    part._buffers[name] = buffer
    # version counters do not tell: batch norms write past them
    if buffer is not None and saved is not None and not torch.equal(buffer, saved):
        with torch.no_grad():
            buffer.copy_(saved)


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
