"""Attention between the nodes of a graph, biased by their distance (Knyazev et al., 2023, section 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.hypernet.config import DISTANCE_LEAD, DISTANCE_ROWS

#: Attention scores computed at a time on CPU, as many as fit into the cache.
SCORES_AT_ONCE = 2**17


class DistanceBias(nn.Module):
    """One number per attention head and pair of nodes, from the shortest paths between the two in both directions."""

    def __init__(self, hid: int, heads: int) -> None:
        super().__init__()
        self.distance = nn.Embedding(DISTANCE_ROWS, hid)
        self.hidden = nn.Linear(2 * hid, hid)
        self.out = nn.Linear(hid, heads)

    def forward(self, signed: Tensor, reach: int, absent: Tensor | None, *, keep: bool) -> PairBias:
        """Attention bias.

        Args:
            signed: integer, (graphs, nodes, nodes): path length from row to column, minus that from column to row.
                No cycle passes through two nodes of a network's graph, so one of the two lengths is always 0, and
                only 2 reach + 1 different pairs exist: these are projected, not the nodes' pairs.
            reach: longest path in `signed`.
            absent: as in `PairBias`.
            keep: as in `PairBias`.
        """
        lengths = torch.arange(-reach, reach + 1, device=signed.device)
        pair = torch.stack((lengths.clamp(min=0), (-lengths).clamp(min=0)), dim=1) + DISTANCE_LEAD
        per_pair: Tensor = self.out(F.relu(self.hidden(self.distance(pair).flatten(1))))
        return PairBias(per_pair.t().contiguous(), (signed + reach).int(), absent, keep)


class PairBias:
    """The attention bias of a batch of graphs: one number per head and pair of nodes.

    Args:
        values: (heads, different pairs).
        pairs: int32, (graphs, nodes, nodes): which pair it is.
        absent: bool, (graphs, nodes): where a graph has no more nodes to attend to; None if all are of one size.
        keep: whether to look all numbers up once for all layers, or anew whenever they are needed: in a deep network
            they would take more memory than a fair share of its parameters'.
    """

    def __init__(self, values: Tensor, pairs: Tensor, absent: Tensor | None, keep: bool) -> None:
        self._values = values
        self._pairs = pairs
        self._absent = absent
        self._all = self._look_up(slice(None)) if keep else None

    def __call__(self, heads: slice) -> Tensor:
        """The bias of some heads: (graphs, heads, nodes, nodes)."""
        return self._look_up(heads) if self._all is None else self._all[:, heads]

    def _look_up(self, heads: slice) -> Tensor:
        found = self._values[heads].index_select(1, self._pairs.flatten())
        bias = found.view(-1, *self._pairs.shape).transpose(0, 1)
        return bias if self._absent is None else bias.masked_fill(self._absent[:, None, None], float("-inf"))


def attend(query: Tensor, key: Tensor, value: Tensor, bias: PairBias) -> Tensor:
    """Attention of all nodes to all nodes: softmax(query key^T / sqrt(width) + bias) value.

    PyTorch's fused attention computes its exponentials on CPU with an approximation whose error, summed over a layer's
    weights, is larger than that of all other steps together.

    Args:
        query: (graphs, heads, nodes, width).
        key: as `query`.
        value: as `query`.
        bias: of the same graphs, heads and nodes.

    Returns:
        As `query`.
    """
    graphs, heads, nodes, width = query.shape
    at_once = max(1, SCORES_AT_ONCE // (graphs * nodes * nodes)) if query.device.type == "cpu" else heads
    mixed = []
    for first in range(0, heads, at_once):
        some = slice(first, first + at_once)
        scores = query[:, some] @ key[:, some].transpose(-2, -1)
        scores = scores.mul_(width**-0.5).add_(bias(some))
        mixed.append(scores.softmax(dim=-1) @ value[:, some])
    return torch.cat(mixed, dim=1)
