"""Networks made for large photographs, changed to take images of 32 x 32 pixels."""

from __future__ import annotations

import dataclasses

from torch import nn

from ghn_init.graph.arch import ArchGraph

#: Side of the first kernel of networks for small images.
KERNEL = 3
#: The most convolutions of a stem that ends with a pooling.
STEM_CONVOLUTIONS = 3


@dataclasses.dataclass(frozen=True)
class Stem:
    """The parts with which a network shrinks large images before it does anything else.

    Attributes:
        conv: path of the first convolution, if its windows overlap and move by more than one pixel; None otherwise.
        pool: path of the max pooling that follows it in the stem, or None.
    """

    conv: str | None = None
    pool: str | None = None


def find_stem(network: nn.Module, graph: ArchGraph) -> Stem:
    """Finds what `shrink_stem` changes, from the network's graph.

    The papers evaluate ResNet-50 on CIFAR-10 so changed. Patch embeddings, whose windows do not overlap, are no such
    stem.
    """
    parts = dict(network.named_modules())
    first = next((node.source for node in graph.nodes if node.type == "conv"), "")
    conv = parts.get(first)
    if not isinstance(conv, nn.Conv2d) or not 1 < conv.stride[0] < conv.kernel_size[0]:
        return Stem()
    convolutions = 0
    for node in graph.nodes:
        convolutions += node.type == "conv"
        if convolutions > STEM_CONVOLUTIONS or node.type in ("sum", "concat"):
            break
        if node.type == "max_pool" and isinstance(parts.get(node.source), nn.Module):
            return Stem(first, node.source)
    return Stem(first)


def shrink_stem(network: nn.Module, stem: Stem) -> nn.Module:
    """Makes the first convolution one of 3 x 3 and stride 1, and the stem's pooling none, in place.

    The convolution keeps the middle of its kernels, so that its own initial values keep their distribution.
    """
    if stem.conv is not None:
        conv = network.get_submodule(stem.conv)
        assert isinstance(conv, nn.Conv2d)
        side = min(KERNEL, conv.kernel_size[0])
        start = (conv.kernel_size[0] - side) // 2
        middle = conv.weight.detach()[:, :, start : start + side, start : start + side]
        conv.weight = nn.Parameter(middle.clone())
        conv.kernel_size, conv.stride, conv.padding = (side, side), (1, 1), (side // 2, side // 2)
    if stem.pool is not None:
        network.set_submodule(stem.pool, nn.Identity())
    return network
