"""The Graphormer of GHN-3 (Knyazev et al., 2023, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet.config import DISTANCE_LEAD, DISTANCE_ROWS, GHNConfig
from ghn_init.hypernet.tiling import split_rows

#: Larger degrees and distances from the input share the last row of their embedding.
MAX_DEGREE = 100
MAX_INPUT_DISTANCE = 1000
#: Attention scores computed at a time on CPU, as many as fit into the cache.
SCORES_AT_ONCE = 2**18


class DistanceBias(nn.Module):
    """One number per attention head and pair of nodes, from the shortest paths between the two in both directions."""

    def __init__(self, hid: int, heads: int) -> None:
        super().__init__()
        self.distance = nn.Embedding(DISTANCE_ROWS, hid)
        self.hidden = nn.Linear(2 * hid, hid)
        self.out = nn.Linear(hid, heads)

    def forward(self, signed: Tensor, reach: int) -> Tensor:
        """Attention bias.

        Args:
            signed: integer, (graphs, nodes, nodes): path length from row to column, minus that from column to row.
                No cycle passes through two nodes of a network's graph, so one of the two lengths is always 0, and
                only 2 reach + 1 different pairs exist: these are projected, not the nodes' pairs.
            reach: longest path in `signed`.

        Returns:
            float, (graphs, heads, nodes, nodes).
        """
        lengths = torch.arange(-reach, reach + 1, device=signed.device)
        pair = torch.stack((lengths.clamp(min=0), (-lengths).clamp(min=0)), dim=1) + DISTANCE_LEAD
        per_pair: Tensor = self.out(F.relu(self.hidden(self.distance(pair).flatten(1))))
        graphs, nodes, _ = signed.shape
        flat = (signed.flatten() + reach).int()
        bias = per_pair.t().index_select(1, flat)
        return bias.view(-1, graphs, nodes, nodes).transpose(0, 1)


class GraphormerLayer(nn.Module):
    """Pre-norm transformer layer whose attention is biased by distance."""

    def __init__(self, hid: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(hid)
        self.qkv = nn.Linear(hid, 3 * hid, bias=False)
        self.project = nn.Linear(hid, hid)
        self.norm_feedforward = nn.LayerNorm(hid)
        self.expand = nn.Linear(hid, 4 * hid)
        self.contract = nn.Linear(4 * hid, hid)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """New states, (graphs, nodes, hid), from such states and a bias (graphs, heads, nodes, nodes)."""
        graphs, nodes, hid = states.shape
        qkv = self.qkv(self.norm_attention(states)).view(graphs, nodes, 3, self.heads, hid // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value, bias)
        states = states + self.project(mixed.transpose(1, 2).reshape(graphs, nodes, hid))
        wide = F.gelu(self.expand(self.norm_feedforward(states)))
        updated: Tensor = states + self.contract(wide)
        return updated


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention of all nodes to all nodes: softmax(query key^T / sqrt(width) + bias) value.

    PyTorch's fused attention computes its exponentials on CPU with an approximation whose error, summed over a layer's
    weights, is larger than that of all other steps together.

    Args:
        query: (graphs, heads, nodes, width).
        key: as `query`.
        value: as `query`.
        bias: (graphs, heads, nodes, nodes).

    Returns:
        As `query`.
    """
    graphs, heads, nodes, width = query.shape
    at_once = max(1, SCORES_AT_ONCE // (graphs * nodes * nodes)) if query.device.type == "cpu" else heads
    mixed = []
    for first in range(0, heads, at_once):
        some = slice(first, first + at_once)
        scores = query[:, some] @ key[:, some].transpose(-2, -1)
        scores = scores.mul_(width**-0.5).add_(bias[:, some])
        mixed.append(scores.softmax(dim=-1) @ value[:, some])
    return torch.cat(mixed, dim=1)


class Graphormer(nn.Module):
    """Adds degree and depth embeddings to the node states, then applies the layers to all graphs at once."""

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.reach = config.reach
        self.in_degree = nn.Embedding(MAX_DEGREE + 1, config.hid)
        self.out_degree = nn.Embedding(MAX_DEGREE + 1, config.hid)
        self.input_distance = nn.Embedding(MAX_INPUT_DISTANCE + 1, config.hid)
        self.bias = DistanceBias(config.hid, config.heads)
        self.layers = nn.ModuleList(GraphormerLayer(config.hid, config.heads) for _ in range(config.layers))

    def forward(self, states: Tensor, graphs: Sequence[ArchGraph]) -> Tensor:
        """New states of the nodes of all graphs, from such states: (nodes, hid), one graph after the other."""
        sizes = [len(graph) for graph in graphs]
        paths = _padded([graph.adjacency(self.reach) for graph in graphs], states.device)
        direct = paths == 1
        padded = (
            pad_sequence(list(split_rows(states, sizes)), batch_first=True)
            + self.in_degree(direct.sum(1).clamp(max=MAX_DEGREE))
            + self.out_degree(direct.sum(2).clamp(max=MAX_DEGREE))
            + self.input_distance(paths[:, 0].long().clamp(max=MAX_INPUT_DISTANCE))
        )
        bias = self.bias(paths - paths.transpose(1, 2), self.reach)
        if min(sizes) < max(sizes):
            real = torch.tensor(sizes, device=states.device)[:, None] > torch.arange(max(sizes), device=states.device)
            bias = bias.masked_fill(~real[:, None, None, :], float("-inf"))
        for layer in self.layers:
            padded = layer(padded, bias)
        return torch.cat([rows[:size] for rows, size in zip(padded, sizes, strict=True)])


def _padded(matrices: list[Tensor], device: torch.device) -> Tensor:
    """Square matrices of several sizes as one (matrices, size, size) tensor, zeros in the empty places."""
    size = max(len(matrix) for matrix in matrices)
    stack = matrices[0].new_zeros(len(matrices), size, size)
    for place, matrix in zip(stack, matrices, strict=True):
        place[: len(matrix), : len(matrix)] = matrix
    return stack.to(device)
