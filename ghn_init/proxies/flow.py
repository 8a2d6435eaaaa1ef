"""SynFlow: how much gets through a network all of whose weights are positive."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.running import leaves, logits, weights
from ghn_init.substitution import Substitutes


def _as_it_is(x: Tensor, *args: Any, **options: Any) -> Tensor:
    return x


_NORMS = (
    F.batch_norm,
    F.group_norm,
    F.instance_norm,
    F.layer_norm,
    F.local_response_norm,
    F.rms_norm,
    torch.layer_norm,
    torch.group_norm,
)


def _uniform(x: Tensor, *args: Any, **options: Any) -> Tensor:
    dim = options.get("dim", args[0] if args else -1)
    return torch.full_like(x, 1 / x.shape[dim])


def _mean_value(query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Tensor:
    return value.mean(dim=-2, keepdim=True).expand(*value.shape[:-2], query.shape[-2], value.shape[-1])


def _open_gate(operation: Callable[..., Tensor], x: Any, other: Any, *args: Any, **options: Any) -> Tensor:
    if not (_is_data(x) and _is_data(other)):
        return operation(x, other, *args, **options)
    first, second = torch.broadcast_tensors(x, other)  # type: ignore[no-untyped-call]
    gated: Tensor = second if other.numel() > x.numel() else first
    return gated


def _is_data(x: Any) -> bool:
    """Whether it comes from the images, through weights: it has a row an image."""
    return isinstance(x, Tensor) and x.dim() > 1 and len(x) == _IMAGES and x.requires_grad and not x.is_leaf


#: Alike, and more than one so that what comes from images is told from parameters by its shape.
_IMAGES = 2
_PRODUCTS = (torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__rmul__, Tensor.__imul__)
#: Norms would undo the scale of the weights, which is what is measured; attention of such scores would be all noise;
#: and products of activations square them with every gate, beyond any number format.
_LINEAR: Substitutes = {
    **{operation: partial(_open_gate, operation) for operation in _PRODUCTS},
    **dict.fromkeys(_NORMS, _as_it_is),
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), _uniform),
    F.scaled_dot_product_attention: _mean_value,
}


def synflow(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The natural logarithm of the sum over weights of |θ · ∂R/∂θ| (Tanaka et al., 2020, section 6).

    R is the sum of the logits of an image all of whose pixels are 1, with the absolute values of all parameters, as if
    there were no norms (Abdelfattah et al., 2021, section 3.2). Of what the papers' networks have not, attention is to
    all places alike, and gates are open: of a product of two activations the larger one counts, or the first. In
    float64, since R grows with the product of the layers' widths; the logarithm changes no ranking. Of `images` only
    the shape counts.
    """
    parameters = {name: value.detach().double().abs().requires_grad_() for name, value in leaves(module).items()}
    wanted = weights(parameters)
    ones = torch.ones(_IMAGES, *images.shape[1:], dtype=torch.float64, device=images.device)
    total = logits(module, parameters, ones, _LINEAR).sum() / _IMAGES
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    flow = sum(
        float((own.detach() * grad).abs().sum())
        for own, grad in zip(wanted, gradients, strict=True)
        if grad is not None
    )
    if not 0 < flow < math.inf:
        raise ProxyError(f"the synaptic flow of {type(module).__name__} is {flow}, which has no logarithm")
    return math.log(flow)
