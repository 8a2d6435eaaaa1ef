"""What is known of a network without a GHN: the features that embeddings have to beat."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ghn_init.properties.embedding import Network, graph_of
from ghn_init.properties.errors import PropertyError

#: The columns of `size_features`.
SIZE_FEATURES: tuple[str, ...] = ("log parameters", "log FLOPs", "nodes")


def size_features(networks: Iterable[Network], *, num_classes: int = 10, image_size: int = 32) -> Tensor:
    """The sizes of networks: natural logarithms of parameters and of multiply-adds for one image, and nodes.

    Args:
        networks: as for `ghn_init.embed`, but no bare graphs, of which the multiply-adds are not known.
        num_classes: classes of a `Subject`.
        image_size: side in pixels of the RGB images that networks take.

    Returns:
        float64, (networks, 3).

    Raises:
        PropertyError: a network does not take such images, or is a graph.
        GHNInitError: as for `ghn_init.embed`.
    """
    from ghn_init.ranking.costs import cost_of_image

    rows = []
    for network in networks:
        module = _module(network, num_classes, image_size)
        try:
            cost = cost_of_image(module, 3, image_size).flops
        except (RuntimeError, TypeError, ValueError) as error:
            raise PropertyError(
                f"{type(module).__name__} does not take images of {image_size} x {image_size}: {error}"
            ) from error
        parameters = sum(parameter.numel() for parameter in module.parameters())
        nodes = len(graph_of(network, num_classes=num_classes, image_size=image_size))
        rows.append([math.log(max(1, parameters)), math.log(max(1, cost)), float(nodes)])
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, len(SIZE_FEATURES))


def _module(network: Network, num_classes: int, image_size: int) -> nn.Module:
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, str):
        from ghn_init.zoo import find_model

        return find_model(network).skeleton()
    if callable(skeleton := getattr(network, "skeleton", None)):
        module: nn.Module = skeleton(num_classes, image_size).network
        return module
    raise PropertyError(f"the sizes of {type(network).__name__} are not known: give a module, a name or a Subject")
