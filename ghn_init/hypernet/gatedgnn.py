"""The GatedGNN of GHN-1 (Zhang et al., 2019, section 4) and GHN-2 (Knyazev et al., 2021, section 4.1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.tiling import split_rows

#: Graphs are taken together up to this many nodes: the matrix of messages grows with the square of their number.
NODES_AT_ONCE = 2048


class MessageMLP(nn.Module):
    """What a node sends: two linear layers, each with a ReLU."""

    def __init__(self, hid: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Linear(hid, inner)
        self.second = nn.Linear(inner, hid)

    def forward(self, states: Tensor) -> Tensor:
        """Messages, (nodes, hid), of nodes in such states."""
        return F.relu(self.second(F.relu(self.first(states))))


class GatedGNN(nn.Module):
    """Visits the nodes in topological order, then in the reverse order, updating each with a GRU.

    A node's message is the sum of what its direct neighbours send, plus, with virtual edges, what all neighbours up to
    `GHNConfig.cutoff` edges away send through a second MLP, divided by their distance. Neighbours have always been
    visited before, so all nodes of one topological level are independent of each other and are visited together.
    """

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        inner = config.hid // 2 if config.virtual_edges else config.hid
        self.reach = config.reach
        self.message = MessageMLP(config.hid, inner)
        self.virtual_message = MessageMLP(config.hid, inner) if config.virtual_edges else None
        self.gru = nn.GRUCell(config.hid, config.hid)

    def forward(self, states: Tensor, graphs: Sequence[ArchGraph]) -> Tensor:
        """New states of the nodes of all graphs, from such states: (nodes, hid), one graph after the other.

        Runs in float32 under autocast too: hundreds of updates follow on each other.
        """
        with torch.autocast(states.device.type, enabled=False):
            chunks = list(_chunks(graphs))
            parts = split_rows(states.float(), [sum(map(len, chunk)) for chunk in chunks])
            return torch.cat([self._visit(part, chunk) for part, chunk in zip(parts, chunks, strict=True)])

    def _visit(self, states: Tensor, graphs: Sequence[ArchGraph]) -> Tensor:
        levels = [level for graph in graphs for level in topological_levels(graph)]
        order = sorted(range(len(levels)), key=levels.__getitem__)
        widths = [len(list(group)) for _, group in itertools.groupby(order, key=levels.__getitem__)]
        rank = torch.tensor(order)
        paths = self._paths(graphs)[rank][:, rank].to(states.device)
        rank = rank.to(states.device)

        # Rows send: the forward pass goes along the edges, the backward pass runs against them.
        states = self._sweep(states[rank], paths, widths)
        states = self._sweep(states.flip(0), paths.flip(0, 1).t(), widths[::-1]).flip(0)
        return states[rank.argsort()]

    def _paths(self, graphs: Sequence[ArchGraph]) -> Tensor:
        """(nodes, nodes): path lengths up to the cut-off, none between graphs, in as few bytes as they fit in."""
        size, first = sum(map(len, graphs)), 0
        paths = torch.zeros(size, size, dtype=torch.uint8 if self.reach < 256 else torch.int16)
        for graph in graphs:
            block = slice(first, first + len(graph))
            paths[block, block] = graph.adjacency(self.reach).to(paths.dtype)
            first = block.stop
        return paths

    def _factors(self, like: Tensor) -> Tensor:
        """(kinds of message, path lengths): what a message is multiplied with."""
        lengths = torch.arange(self.reach + 1, device=like.device, dtype=like.dtype)
        direct = (lengths == 1).to(like.dtype)
        if self.virtual_message is None:
            return direct[None]
        return torch.stack((direct, torch.where(lengths > 0, lengths.reciprocal(), 0)))

    def _sweep(self, states: Tensor, paths: Tensor, widths: list[int]) -> Tensor:
        """Visits nodes in groups of the given sizes; row i, column j of `paths`: how far node i is from node j."""
        table, farthest = self._factors(states), _farthest(paths)
        from_state = split_rows(F.linear(states, self.gru.weight_hh, self.gru.bias_hh), widths)
        received = torch.zeros_like(states)
        visited, first = [], 0
        for state, gates in zip(split_rows(states, widths), from_state, strict=True):
            width = len(state)
            from_message = F.linear(received[:width], self.gru.weight_ih, self.gru.bias_ih)
            new = _gated(state, gates, from_message)
            visited.append(new)
            received = received[width:]
            start = first + width
            reached = max(farthest[first:start]) + 1 - start
            if reached > 0:
                lengths = paths[first:start, start : start + reached].t().int()
                for factors, message in zip(table, self._messages(new), strict=True):
                    received = _added(received, factors[lengths], message)
            first = start
        return torch.cat(visited)

    def _messages(self, states: Tensor) -> Iterator[Tensor]:
        yield self.message(states)
        if self.virtual_message is not None:
            yield self.virtual_message(states)


def _added(received: Tensor, factors: Tensor, message: Tensor) -> Tensor:
    """`received` with messages added to its first rows; in place where nothing is to be differentiated."""
    reached = len(factors)
    if not torch.is_grad_enabled():
        received[:reached].addmm_(factors, message)
        return received
    if reached == len(received):
        return torch.addmm(received, factors, message)
    return torch.cat((torch.addmm(received[:reached], factors, message), received[reached:]))


def _farthest(paths: Tensor) -> list[int]:
    """For each row the last column that is not 0, or -1: messages need not be sent any farther."""
    some = (paths > 0).flip(1)
    last = paths.shape[1] - 1 - some.to(torch.uint8).argmax(1)
    found: list[int] = last.where(some.any(1), -1).tolist()
    return found


def _gated(state: Tensor, from_state: Tensor, from_message: Tensor) -> Tensor:
    """The GRU's update (Cho et al., 2014, section 2.3) from the two halves of its gates' inputs."""
    reset_s, update_s, new_s = from_state.chunk(3, dim=1)
    reset_m, update_m, new_m = from_message.chunk(3, dim=1)
    candidate = torch.tanh(new_m + torch.sigmoid(reset_s + reset_m) * new_s)
    return candidate + torch.sigmoid(update_s + update_m) * (state - candidate)


def topological_levels(graph: ArchGraph) -> list[int]:
    """For each node the number of edges of the longest path that leads to it."""
    levels = [0] * len(graph)
    for start, end in sorted(graph.edges):
        levels[end] = max(levels[end], levels[start] + 1)
    return levels


def _chunks(graphs: Sequence[ArchGraph]) -> Iterator[list[ArchGraph]]:
    chunk: list[ArchGraph] = []
    for graph in graphs:
        if chunk and sum(map(len, chunk)) + len(graph) > NODES_AT_ONCE:
            yield chunk
            chunk = []
        chunk.append(graph)
    yield chunk
