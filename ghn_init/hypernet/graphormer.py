"""The Graphormer of GHN-3 (Knyazev et al., 2023, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet.attention import DistanceBias, PairBias, attend
from ghn_init.hypernet.batches import by_size
from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.tiling import split_rows

#: Larger degrees and distances from the input share the last row of their embedding.
MAX_DEGREE = 100
MAX_INPUT_DISTANCE = 1000
#: Without gradients, the largest share that the attention bias may have of the memory of the networks' parameters.
BIAS_SHARE = 1 / 32
#: Rows of a matrix of pairs that are made at a time.
ROWS_AT_ONCE = 256


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

    def forward(self, states: Tensor, bias: PairBias) -> Tensor:
        """New states, (graphs, nodes, hid), from such states."""
        graphs, nodes, hid = states.shape
        qkv = self.qkv(self.norm_attention(states)).view(graphs, nodes, 3, self.heads, hid // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value, bias)
        states = states + self.project(mixed.transpose(1, 2).reshape(graphs, nodes, hid))
        wide = F.gelu(self.expand(self.norm_feedforward(states)))
        updated: Tensor = states + self.contract(wide)
        return updated


class Graphormer(nn.Module):
    """Adds degree and depth embeddings to the node states, then applies the layers to all graphs at once."""

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.reach = config.reach
        self.heads = config.heads
        self.in_degree = nn.Embedding(MAX_DEGREE + 1, config.hid)
        self.out_degree = nn.Embedding(MAX_DEGREE + 1, config.hid)
        self.input_distance = nn.Embedding(MAX_INPUT_DISTANCE + 1, config.hid)
        self.bias = DistanceBias(config.hid, config.heads)
        self.layers = nn.ModuleList(GraphormerLayer(config.hid, config.heads) for _ in range(config.layers))

    def forward(self, states: Tensor, graphs: Sequence[ArchGraph]) -> Tensor:
        """New states of the nodes of all graphs, from such states: (nodes, hid), one graph after the other.

        Graphs of similar size are taken together.
        """
        sizes = [len(graph) for graph in graphs]
        parts, found = split_rows(states, sizes), dict[int, Tensor]()
        for batch in by_size(sizes):
            found |= zip(batch, self._updated([parts[i] for i in batch], [graphs[i] for i in batch]), strict=True)
        return torch.cat([found[index] for index in range(len(graphs))])

    def _updated(self, states: Sequence[Tensor], graphs: Sequence[ArchGraph]) -> list[Tensor]:
        """New states of each graph's nodes, padded to those of the largest."""
        sizes, device = [len(graph) for graph in graphs], states[0].device
        places = _padded([_places(graph, self.reach) for graph in graphs]).to(device)
        padded = (
            pad_sequence(list(states), batch_first=True)
            + self.in_degree(places[:, 0].clamp(max=MAX_DEGREE))
            + self.out_degree(places[:, 1].clamp(max=MAX_DEGREE))
            + self.input_distance(places[:, 2].clamp(max=MAX_INPUT_DISTANCE))
        )
        real = torch.tensor(sizes, device=device)[:, None] > torch.arange(max(sizes), device=device)
        absent = ~real if min(sizes) < max(sizes) else None
        pairs = _padded([_pairs(graph, self.reach) for graph in graphs]).to(device)
        keep = torch.is_grad_enabled() or self.heads * pairs.numel() <= BIAS_SHARE * sum(map(_numel, graphs))
        bias = self.bias(pairs, self.reach, absent, keep=keep)
        for layer in self.layers:
            padded = layer(padded, bias)
        return [rows[:size] for rows, size in zip(padded, sizes, strict=True)]


def _numel(graph: ArchGraph) -> int:
    return sum(math.prod(node.shape or ()) for node in graph.nodes if node.param is not None)


def _places(graph: ArchGraph, reach: int) -> Tensor:
    """In-degrees, out-degrees and, up to `reach`, distances from the input: int64, (3, nodes)."""
    starts, ends = torch.tensor(sorted(set(graph.edges)), dtype=torch.long).view(-1, 2).unbind(1)
    size, distance = len(graph), graph.distances[0].long()
    return torch.stack(
        (
            torch.bincount(ends, minlength=size),
            torch.bincount(starts, minlength=size),
            distance.where(distance <= reach, 0),
        )
    )


def _pairs(graph: ArchGraph, reach: int) -> Tensor:
    """The pairs of `DistanceBias`: (nodes, nodes), in as few bytes as they fit in.

    Made some rows at a time: for thousands of nodes, each temporary copy would take as much memory as a network.
    """
    lengths = graph.distances
    pairs = torch.empty(lengths.shape, dtype=torch.uint8 if 2 * reach < 256 else torch.int16)
    for start in range(0, len(lengths), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        there, back = lengths[rows], lengths[:, rows].t()
        pairs[rows] = there.where(there <= reach, 0) - back.where(back <= reach, 0) + reach
    return pairs


def _padded(matrices: list[Tensor]) -> Tensor:
    """Matrices of several sizes as one (matrices, rows, columns) tensor, zeros in the empty places."""
    if len(matrices) == 1:
        return matrices[0][None]
    rows, columns = (max(matrix.shape[side] for matrix in matrices) for side in (0, 1))
    stack = matrices[0].new_zeros(len(matrices), rows, columns)
    for place, matrix in zip(stack, matrices, strict=True):
        place[: matrix.shape[0], : matrix.shape[1]] = matrix
    return stack
