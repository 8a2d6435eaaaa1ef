"""The Graph HyperNetwork."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet.config import DISTANCE_ROWS, GHNConfig
from ghn_init.hypernet.decoders import ConvDecoder, MLPDecoder, VectorDecoder
from ghn_init.hypernet.encoder import NodeEncoder
from ghn_init.hypernet.gatedgnn import GatedGNN
from ghn_init.hypernet.graphormer import Graphormer
from ghn_init.hypernet.initialise import initialise_embeddings, shrink, sinusoids
from ghn_init.hypernet.mlp import NodeMLP
from ghn_init.hypernet.normalise import FACTOR, OFFSET, bounded
from ghn_init.hypernet.targets import Target, targets
from ghn_init.hypernet.tiling import assembled

GNNS = {"graphormer": Graphormer, "gatedgnn": GatedGNN, "mlp": NodeMLP}
DECODERS = {"conv": ConvDecoder, "mlp": MLPDecoder}


class GHN(nn.Module):
    """Predicts the parameters of networks from their graphs.

    Args:
        config: the architecture. GHN-1, GHN-2, GHN-3 and the baseline without edges differ in it only.
    """

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = NodeEncoder(config)
        self.gnn = GNNS[config.gnn](config)
        self.norm = nn.LayerNorm(config.hid) if config.layernorm else nn.Identity()
        self.decoder: ConvDecoder | MLPDecoder = DECODERS[config.decoder](config)
        self.vectors = VectorDecoder(config)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws new weights, as for training GHN-3 (Knyazev et al., 2023, appendix A).

        The linear layers keep PyTorch's initialisation, but for the last ones of the decoders, which predict small
        values; embeddings are truncated normals, but for the distances', which are sinusoids.
        """
        for part in self.modules():
            if isinstance(part, (nn.Linear, nn.LayerNorm, nn.GRUCell)):
                part.reset_parameters()
        initialise_embeddings(self)
        if isinstance(self.gnn, Graphormer):
            self.gnn.bias.distance.weight.copy_(sinusoids(DISTANCE_ROWS, self.config.hid))
        for layer in (self.decoder.weights, self.decoder.classes, self.vectors.out):
            shrink(layer)

    def embed(self, graphs: Sequence[ArchGraph]) -> list[Tensor]:
        """The states of each graph's nodes just before decoding: float32, (nodes, hid)."""
        states = self._states(graphs)
        return list(states.split([len(graph) for graph in graphs]))

    def forward(
        self, graphs: ArchGraph | Sequence[ArchGraph], *, head: bool = True
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Predicts parameters, differentiably with respect to this module's own.

        Args:
            graphs: one graph, or a meta-batch, which is computed at once.
            head: whether to predict classifier heads. Those of another number of classes than `GHNConfig.num_classes`
                are left out in any case.

        Returns:
            For each graph the predictions by parameter name: float32, in the shape that the parameter has in its
            module. The rows of position tables that belong to no place (class tokens) are zeros.

        Raises:
            ValueError: a node type that this GHN does not know, or a parameter that does not fit its node.
        """
        if isinstance(graphs, ArchGraph):
            return self._predict([graphs], head)[0]
        return self._predict(graphs, head)

    def _states(self, graphs: Sequence[ArchGraph]) -> Tensor:
        states: Tensor = self.norm(self.gnn(self.encoder(graphs), graphs))
        return states.float()

    def _predict(self, graphs: Sequence[ArchGraph], head: bool) -> list[dict[str, Tensor]]:
        if not graphs:
            return []
        states = self._states(graphs)
        wanted: list[tuple[int, Target]] = []
        offsets, first = [], 0
        for graph in graphs:
            found, _ = targets(graph, self.config, head=head)
            wanted += [(first + target.node, target) for target in found]
            offsets.append(len(found))
            first += len(graph)
        # Weights need float32's precision, and decoding is the smaller part of the work.
        with torch.autocast(states.device.type, enabled=False):
            predictions = iter(self._decode(states, wanted))
        return [dict(next(predictions) for _ in range(count)) for count in offsets]

    def _decode(self, states: Tensor, wanted: Sequence[tuple[int, Target]]) -> list[tuple[str, Tensor]]:
        ways = {
            "vector": self._vectors,
            "class_vector": self._class_vectors,
            "block": self._blocks,
            "class_block": self._class_blocks,
        }
        normalised: dict[int, Tensor] = {}
        for kind, way in ways.items():
            members = [index for index, (_, target) in enumerate(wanted) if target.kind == kind]
            if members:
                nodes = torch.tensor([wanted[index][0] for index in members], device=states.device)
                decoded = way(states[nodes], [wanted[index][1] for index in members])
                normalised.update(zip(members, decoded, strict=True))
        return [(target.name, assembled(normalised[index], target)) for index, (_, target) in enumerate(wanted)]

    def _vectors(self, states: Tensor, wanted: Sequence[Target]) -> list[Tensor]:
        rows = _chosen_rows(self.vectors(states), wanted)
        return [row[: target.shape[0]] for row, target in zip(rows, wanted, strict=True)]

    def _class_vectors(self, states: Tensor, wanted: Sequence[Target]) -> list[Tensor]:
        raw = self.vectors.class_vectors(self.vectors(states).flatten(0, 1)).unflatten(0, (-1, 2))
        return _chosen_rows(raw, wanted)

    def _blocks(self, states: Tensor, wanted: Sequence[Target]) -> list[Tensor]:
        blocks = self.decoder.blocks(states, [target.block_size(self.config.max_shape) for target in wanted])
        return [block * target.scale for block, target in zip(blocks, wanted, strict=True)]

    def _class_blocks(self, states: Tensor, wanted: Sequence[Target]) -> list[Tensor]:
        blocks = self.decoder.class_blocks(states, [min(t.shape[1], self.config.max_shape[1]) for t in wanted])
        return [(block * t.scale)[:, :, None, None] for block, t in zip(blocks, wanted, strict=True)]


def _chosen_rows(raw: Tensor, wanted: Sequence[Target]) -> list[Tensor]:
    """For each target its row of (targets, 2, length), in its range where it is to be normalised."""
    both = torch.stack((bounded(raw[:, FACTOR], FACTOR), bounded(raw[:, OFFSET], OFFSET)), dim=1)
    return [
        (near if target.normalised else far)[target.row]
        for near, far, target in zip(both.unbind(0), raw.unbind(0), wanted, strict=True)
    ]
