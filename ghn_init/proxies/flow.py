"""SynFlow: how much gets through a network all of whose weights are positive."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.running import Substitutes, leaves, logits, weights


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


#: Norms would undo the scale of the weights, which is what is measured; attention of such scores would be all noise.
_LINEAR: Substitutes = {
    **dict.fromkeys(_NORMS, _as_it_is),
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), _uniform),
    F.scaled_dot_product_attention: _mean_value,
}


def synflow(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The natural logarithm of the sum over weights of |θ · ∂R/∂θ| (Tanaka et al., 2020, section 6).

    R is the sum of the logits of an image all of whose pixels are 1, with the absolute values of all parameters, as if
    there were no norms (Abdelfattah et al., 2021, section 3.2), and with attention to all places alike, of which the
    papers have none. In float64, since R grows with the product of the layers' widths; the logarithm changes no
    ranking. Of `images` only the shape counts.
    """
    parameters = {name: value.detach().double().abs().requires_grad_() for name, value in leaves(module).items()}
    wanted = weights(parameters)
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=images.device)
    total = logits(module, parameters, ones, _LINEAR).sum()
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    flow = sum(
        float((own.detach() * grad).abs().sum())
        for own, grad in zip(wanted, gradients, strict=True)
        if grad is not None
    )
    if not 0 < flow < math.inf:
        raise ProxyError(f"the synaptic flow of {type(module).__name__} is {flow}, which has no logarithm")
    return math.log(flow)
