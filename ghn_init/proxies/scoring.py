"""`score`: one network, one proxy."""

from __future__ import annotations

import difflib
import math

import torch
from torch import Tensor, nn

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.running import untouched
from ghn_init.proxies.table import PROXIES, Proxy


def score(module: nn.Module, images: Tensor, labels: Tensor | None = None, proxy: str | Proxy = "naswot") -> float:
    """A network's score by a training-free proxy; more is better, and only the order of scores means something.

    The module runs in evaluation mode, without dropout, with the statistics of the batch in batch norms. It stays as
    it is: weights, buffers, gradients, mode; the random state, too.

    Args:
        module: the network, at the weights that it is to be scored with: usually its own random ones.
        images: floating-point (n, channels, height, width), normalised as for training, n at least 2. They are brought
            to the module's device and dtype.
        labels: int64 (n,); may be None for proxies that do not need "labels".
        proxy: a name out of `PROXIES`, or a `Proxy`.

    Returns:
        The score; minus infinity for networks that tell some images not apart at all ("naswot").

    Raises:
        ProxyError: no such proxy; images or labels of another kind; the module does not run on them, or its score is
            not a number.
    """
    chosen = proxy if isinstance(proxy, Proxy) else _find(proxy)
    parameter = next((value for value in module.parameters() if value.is_floating_point()), None)
    if not isinstance(images, Tensor) or images.dim() != 4 or len(images) < 2 or not images.is_floating_point():
        raise ProxyError(f"images must be floating-point (n, channels, height, width), n > 1, not {_kind(images)}")
    if chosen.needs == "labels" and labels is None:
        raise ProxyError(f"{chosen.name} needs the images' labels")
    if labels is None:
        labels = torch.zeros(len(images), dtype=torch.int64)
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ProxyError(f"labels must be int64 ({len(images)},), not {_kind(labels)}")
    if parameter is not None and not parameter.is_meta:
        images, labels = images.to(parameter.device, parameter.dtype), labels.to(parameter.device)
    with untouched(module):
        value = chosen.function(module, images, labels)
    if math.isnan(value):
        raise ProxyError(f"the {chosen.name} of {type(module).__name__} is not a number: its outputs are not finite")
    return value


def _find(name: str) -> Proxy:
    if name in PROXIES:
        return PROXIES[name]
    near = difflib.get_close_matches(name, PROXIES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ProxyError(f"no proxy {name!r}; known are {', '.join(PROXIES)}{hint}")


def _kind(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
