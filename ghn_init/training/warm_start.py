"""Start a GHN from the weights of another one that knows other node types, sizes or classes."""

from __future__ import annotations

import torch

from ghn_init.hypernet import GHN


@torch.no_grad()
def warm_start(ghn: GHN, source: GHN) -> list[str]:
    """Copy into `ghn` the weights of `source` that mean the same in both.

    Rows of the node encoder's tables are matched by node type and size; every other tensor is taken over if both have
    it in the same shape.

    Args:
        ghn: the GHN to start; changed in place.
        source: a trained GHN.

    Returns:
        Names of the tensors of `ghn` that keep their own values, at least in part.
    """
    theirs = source.state_dict()
    ours, known = ({f"encoder.{name}": rows for name, rows in one.encoder.rows().items()} for one in (ghn, source))
    left = []
    for name, tensor in ghn.state_dict().items():
        other = theirs.get(name)
        if other is not None and name in ours and other.shape[1:] == tensor.shape[1:]:
            found = dict(zip(known[name], other, strict=True))
            for meaning, row in zip(ours[name], tensor, strict=True):
                row.copy_(found.get(meaning, row))
            if set(ours[name]) - set(found):
                left.append(name)
        elif other is not None and other.shape == tensor.shape:
            tensor.copy_(other)
        else:
            left.append(name)
    return left
