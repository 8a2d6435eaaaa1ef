"""The baseline without edges (Knyazev et al., 2021, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet.config import GHNConfig


class NodeMLP(nn.Module):
    """Updates each node's state by itself: two linear layers, each with a ReLU."""

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.first = nn.Linear(config.hid, config.hid)
        self.second = nn.Linear(config.hid, config.hid)

    def forward(self, states: Tensor, graphs: Sequence[ArchGraph]) -> Tensor:
        """New states of the nodes of all graphs, from such states: (nodes, hid), one graph after the other."""
        return F.relu(self.second(F.relu(self.first(states))))
