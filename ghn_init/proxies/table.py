"""The table of proxies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn

from ghn_init.proxies.codes import naswot
from ghn_init.proxies.flow import synflow
from ghn_init.proxies.gradients import fisher, grad_norm, jacob_cov, snip
from ghn_init.proxies.sizes import flops, params

#: What a proxy looks at: the module alone, its weights and the images' shape, images, or images with their labels.
Needs = Literal["architecture", "weights", "images", "labels"]


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A score of a network without training; more is better.

    Attributes:
        name: its key in `PROXIES`.
        function: of the module, images and labels; use `ghn_init.proxies.score`, which checks them.
        citation: where it comes from.
        needs: "architecture" for the module alone, which may be on the meta device, and the images' shape; "weights"
            for its weights as well; "images" for images too; "labels" for these with their labels.
    """

    name: str
    function: Callable[[nn.Module, Tensor, Tensor], float]
    citation: str
    needs: Needs


_ALL = (
    Proxy("params", params, "number of parameters", "architecture"),
    Proxy("flops", flops, "multiply-adds of a forward pass", "architecture"),
    Proxy("grad_norm", grad_norm, "Abdelfattah et al., Zero-cost proxies for lightweight NAS, ICLR 2021", "labels"),
    Proxy("snip", snip, "Lee et al., SNIP, ICLR 2019; Abdelfattah et al., ICLR 2021", "labels"),
    Proxy("fisher", fisher, "Turner et al., BlockSwap, ICLR 2020; Abdelfattah et al., ICLR 2021", "labels"),
    Proxy("synflow", synflow, "Tanaka et al., NeurIPS 2020; Abdelfattah et al., ICLR 2021", "weights"),
    Proxy("jacob_cov", jacob_cov, "Mellor et al., arXiv:2006.04647v1, 2020; Abdelfattah et al., ICLR 2021", "images"),
    Proxy("naswot", naswot, "Mellor et al., Neural architecture search without training, ICML 2021", "images"),
)

#: The proxies by name.
PROXIES: MappingProxyType[str, Proxy] = MappingProxyType({proxy.name: proxy for proxy in _ALL})
