"""Running a network for a proxy: with other operations in the place of some, and without a trace in the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ghn_init.keeping import attributes_kept
from ghn_init.proxies.errors import ProxyError
from ghn_init.substitution import Substituted, Substitutes


def _with_statistics_of_the_batch(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, True, momentum, eps)


#: Networks at their initialisation have no running statistics that mean anything.
BATCH_STATISTICS: Substitutes = {F.batch_norm: _with_statistics_of_the_batch}


@contextlib.contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """A block in which a module is in evaluation mode, and after which it is as it was; the random state, too."""
    devices = {tensor.device.index or 0 for tensor in module.parameters() if tensor.is_cuda}
    with attributes_kept(module), torch.random.fork_rng(sorted(devices)), torch.enable_grad():
        torch.manual_seed(0)
        for part in module.modules():
            part.training = False
        yield


def leaves(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point parameters as tensors for gradients of one's own: the same memory, by name, tied ones once.

    Raises:
        ProxyError: some have no values (meta device).
    """
    found = {}
    for name, parameter in module.named_parameters():
        if parameter.is_meta:
            raise ProxyError(f"{name} has no values (meta device): this proxy needs a network with weights")
        if parameter.is_floating_point():
            found[name] = parameter.detach().requires_grad_()
    if not found:
        raise ProxyError(f"{type(module).__name__} has no parameters")
    return found


def logits(module: nn.Module, parameters: Mapping[str, Tensor], images: Tensor, substitutes: Substitutes) -> Tensor:
    """What the network makes of `images` with some parameters in the place of its own.

    Args:
        module: the network, in a block of `untouched`.
        parameters: by name; buffers get copies of the network's, of the dtype of `images` if floating-point.
        images: (n, channels, height, width).
        substitutes: what is called in the place of some operations.

    Returns:
        (n, classes).

    Raises:
        ProxyError: the network does not run on `images`, or returns something else.
    """
    buffers = {
        name: buffer.to(images.dtype if buffer.is_floating_point() else buffer.dtype, copy=True)
        for name, buffer in module.named_buffers()
    }
    try:
        with Substituted(substitutes):
            found = functional_call(module, {**buffers, **parameters}, (images,))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ProxyError(
            f"{type(module).__name__} does not run on images {tuple(images.shape)} of {images.dtype}: {error}"
        ) from error
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != len(images):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ProxyError(f"{type(module).__name__} returns {shape}, not ({len(images)}, classes)")
    return found


def weights(parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """Those of two dimensions or more: not biases, nor the factors of norms."""
    found = [parameter for parameter in parameters.values() if parameter.dim() > 1]
    if not found:
        raise ProxyError("no parameter has two dimensions or more")
    return found


def loss(found: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy.

    Raises:
        ProxyError: a label that is no class of the network.
    """
    if int(labels.min()) < 0 or int(labels.max()) >= found.shape[1]:
        raise ProxyError(f"labels from {int(labels.min())} to {int(labels.max())}, but {found.shape[1]} classes")
    return F.cross_entropy(found, labels)
