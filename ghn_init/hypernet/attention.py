"""Attention between the nodes of a graph, biased by their distance (Knyazev et al., 2023, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.hypernet.config import DISTANCE_LEAD, DISTANCE_ROWS

#: Attention scores computed at a time on CPU, as many as fit into the cache.
SCORES_AT_ONCE = 2**17
#: Elsewhere: enough to keep a device busy.
SCORES_AT_ONCE_ON_DEVICE = 2**27


class DistanceBias(nn.Module):
    """One number per attention head and pair of nodes, from the shortest paths between the two in both directions."""

    def __init__(self, hid: int, heads: int) -> None:
        super().__init__()
        self.distance = nn.Embedding(DISTANCE_ROWS, hid)
        self.hidden = nn.Linear(2 * hid, hid)
        self.out = nn.Linear(hid, heads)

    def forward(self, pairs: Tensor, reach: int, absent: Tensor | None, *, keep: bool) -> PairBias:
        """Attention bias.

        Args:
            pairs: integer, (graphs, nodes, nodes): `reach` plus the path length from row to column, minus that from
                column to row. No cycle passes through two nodes of a network's graph, so one of the two lengths is
                always 0, and only 2 reach + 1 different pairs exist: these are projected, not the nodes' pairs.
            reach: longest path.
            absent: as in `PairBias`.
            keep: as in `PairBias`.
        """
        lengths = torch.arange(-reach, reach + 1, device=pairs.device)
        pair = torch.stack((lengths.clamp(min=0), (-lengths).clamp(min=0)), dim=1) + DISTANCE_LEAD
        per_pair: Tensor = self.out(F.relu(self.hidden(self.distance(pair).flatten(1))))
        return PairBias(per_pair.t().contiguous(), pairs, absent, keep)


class PairBias:
    """The attention bias of a batch of graphs: one number per head and pair of nodes.

    Args:
        values: (heads, different pairs).
        pairs: integer, (graphs, nodes, nodes): which pair it is.
        absent: bool, (graphs, nodes): where a graph has no more nodes to attend to; None if all are of one size.
        keep: whether to look all numbers up once for all layers, or anew whenever they are needed: in a deep network
            they would take more memory than a fair share of its parameters'.
    """

    def __init__(self, values: Tensor, pairs: Tensor, absent: Tensor | None, keep: bool) -> None:
        self._values = values
        self._pairs = pairs
        self._absent = absent
        self._all: Tensor | None = None
        if keep:
            self._all = self.of_rows(slice(None))(slice(None))

    def of_rows(self, rows: slice) -> Callable[[slice], Tensor]:
        """What gives, for some heads, the bias of what some nodes attend to: (graphs, heads, rows, nodes)."""
        if self._all is not None:
            kept = self._all[:, :, rows]
            return lambda heads: kept[:, heads]
        pairs = self._pairs[:, rows]
        index = pairs.flatten().int()

        def look_up(heads: slice) -> Tensor:
            found = self._values[heads].index_select(1, index)
            bias = found.view(-1, *pairs.shape).transpose(0, 1)
            return bias if self._absent is None else bias.masked_fill(self._absent[:, None, None], float("-inf"))

        return look_up


def attend(query: Tensor, key: Tensor, value: Tensor, bias: PairBias) -> Tensor:
    """Attention of all nodes to all nodes: softmax(query key^T / sqrt(width) + bias) value.

    In parts, so that the scores take little memory: some nodes after the other and, of these, some heads after the
    other. PyTorch's fused attention computes its exponentials on CPU with an approximation whose error, summed over a
    layer's weights, is larger than that of all other steps together.

    Args:
        query: (graphs, heads, nodes, width).
        key: as `query`.
        value: as `query`.
        bias: of the same graphs, heads and nodes.

    Returns:
        As `query`.
    """
    graphs, heads, nodes, width = query.shape
    most = SCORES_AT_ONCE if query.device.type == "cpu" else SCORES_AT_ONCE_ON_DEVICE
    parts = min(-(-graphs * nodes * nodes // most), nodes)
    rows_at_once = -(-nodes // parts)
    heads_at_once = max(1, most // (graphs * rows_at_once * nodes))
    keys, mixed = key.transpose(-2, -1), []
    for row in range(0, nodes, rows_at_once):
        rows = slice(row, row + rows_at_once)
        bias_of, of_rows = bias.of_rows(rows), []
        for first in range(0, heads, heads_at_once):
            some = slice(first, first + heads_at_once)
            scores = query[:, some, rows] @ keys[:, some]
            scores = scores.mul_(width**-0.5).add_(bias_of(some))
            of_rows.append(scores.softmax(dim=-1) @ value[:, some])
        mixed.append(torch.cat(of_rows, dim=1))
    return torch.cat(mixed, dim=2)
