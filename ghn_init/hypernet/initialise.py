"""The weights of a GHN before it is trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: The last layers of the decoders start this much smaller, so that early predictions do not blow up the networks.
DECODER_SHRINK = 5.0


def sinusoids(rows: int, hid: int) -> Tensor:
    """Sines and cosines of the row number at falling frequencies: (rows, hid); row 0 is zeros.

    Vaswani et al., 2017, section 3.5.
    """
    frequencies = torch.exp(torch.arange(0, hid, 2) * (-math.log(10000.0) / hid))
    angles = torch.arange(rows)[:, None] * frequencies
    table = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
    table[0] = 0
    return table


@torch.no_grad()
def initialise_embeddings(module: nn.Module) -> None:
    """Sets all embeddings in `module` to a truncated normal of standard deviation 1 / sqrt(width)."""
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            nn.init.trunc_normal_(part.weight, std=part.embedding_dim**-0.5)


@torch.no_grad()
def shrink(layer: nn.Linear) -> None:
    """Makes a decoder's last layer predict small values: smaller weights, no bias."""
    layer.weight /= DECODER_SHRINK
    layer.bias.zero_()
