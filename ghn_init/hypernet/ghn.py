"""The Graph HyperNetwork."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, get_args

import torch
from torch import Tensor, nn

from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.vocabulary import restricted
from ghn_init.hypernet.batches import by_size
from ghn_init.hypernet.config import DISTANCE_ROWS, DecoderKind, GHNConfig, GNNKind
from ghn_init.hypernet.conv_stream import ConvStream
from ghn_init.hypernet.decoders import BlockDecoder, ConvDecoder, MLPDecoder, VectorDecoder, VectorSource
from ghn_init.hypernet.encoder import NodeEncoder
from ghn_init.hypernet.gatedgnn import GatedGNN
from ghn_init.hypernet.graphormer import Graphormer
from ghn_init.hypernet.hub import HubModel
from ghn_init.hypernet.initialise import initialise_embeddings, shrink, sinusoids
from ghn_init.hypernet.lowrank import LowRankDecoder
from ghn_init.hypernet.lowrank_stream import LowRankStream
from ghn_init.hypernet.mlp import NodeMLP
from ghn_init.hypernet.mlp_stream import MLPStream
from ghn_init.hypernet.normalise import FACTOR, OFFSET, bounded
from ghn_init.hypernet.plan import DecodePlan, Vector
from ghn_init.hypernet.stream import Stream
from ghn_init.hypernet.targets import Kind, Target, by_kind, targets
from ghn_init.hypernet.tiling import assembled, split_rows

#: The memory for features, and again that for blocks, as a share of the predicted parameters', and its limits in bytes.
BUDGET_SHARE = 48
SMALLEST_BUDGET = 2**18
LARGEST_BUDGET = 2**24

GNNS: dict[GNNKind, type[Graphormer | GatedGNN | NodeMLP]] = {
    "graphormer": Graphormer,
    "gatedgnn": GatedGNN,
    "mlp": NodeMLP,
}
DECODERS: dict[DecoderKind, type[ConvDecoder | MLPDecoder | LowRankDecoder]] = {
    "conv": ConvDecoder,
    "mlp": MLPDecoder,
    "lowrank": LowRankDecoder,
}
STREAMS: dict[DecoderKind, Callable[..., Stream]] = {"conv": ConvStream, "mlp": MLPStream, "lowrank": LowRankStream}


class GHN(nn.Module, HubModel):
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
        self.decoder: BlockDecoder = DECODERS[config.decoder](config)
        self.vectors = None if isinstance(self.decoder, LowRankDecoder) else VectorDecoder(config)
        # Training starts as GHN-3's does; the distances' embedding need not be learnt from nothing.
        initialise_embeddings(self)
        if isinstance(self.gnn, Graphormer):
            self.gnn.bias.distance.weight.data.copy_(sinusoids(DISTANCE_ROWS, config.hid))
        if self.decoder.shrunk:
            for layer in self.last_layers:
                shrink(layer)

    @property
    def last_layers(self) -> list[nn.Linear]:
        """The layers whose output is the predicted numbers, but for the biases of classifier heads."""
        layers = [getattr(self.decoder, name) for name in self.decoder.last]
        return layers if self.vectors is None else [*layers, self.vectors.out]

    @property
    def wide_layers(self) -> list[nn.Linear]:
        """The other layers that are no hidden matrices (as Muon takes them) either: each is many small ones in one."""
        layers = [getattr(self.decoder, name) for name in self.decoder.wide]
        return layers if self.vectors is None else [*layers, self.vectors.classes]

    def embed(self, graphs: Sequence[ArchGraph]) -> list[Tensor]:
        """The states of each graph's nodes just before decoding: float32, (nodes, hid).

        The nodes are those of the graph as this GHN's vocabulary has it: see `ghn_init.graph.restricted`.
        """
        graphs = [self._read(graph) for graph in graphs]
        states = self._states(graphs)
        return list(split_rows(states, [len(graph) for graph in graphs]))

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
            PredictionError: a node type that this GHN does not know, or a parameter that does not fit its node.
        """
        if isinstance(graphs, ArchGraph):
            return self._predict([graphs], head)[0]
        return self._predict(graphs, head)

    def plan(self, graph: ArchGraph, *, head: bool = True) -> DecodePlan:
        """Prepares a prediction for inference: computes all but the decoder's last layer.

        Args:
            graph: the network.
            head: as in `forward`.

        Returns:
            What writes the parameters, with little memory, into tensors of any kind. The values are those of `forward`,
            in float32 under autocast too.

        Raises:
            PredictionError: as `forward`, and for predictions that are not finite.
        """
        return self.plan_many([graph], head=head)[0]

    @torch.inference_mode()
    def plan_many(self, graphs: Sequence[ArchGraph], *, head: bool = True) -> list[DecodePlan]:
        """`plan` for several networks, whose node states are computed at once where their sizes are similar.

        The values are those of `plan` to rounding: sums over a padded batch may be taken in another order.
        """
        read = [self._read(graph) for graph in graphs]
        sizes = [len(graph) for graph in read]
        states: dict[int, Tensor] = {}
        with torch.autocast(self.encoder.types.weight.device.type, enabled=False):
            for batch in by_size(sizes):
                rows = self._states([read[index] for index in batch])
                states |= zip(batch, split_rows(rows, [sizes[index] for index in batch]), strict=True)
            return [self._plan(graph, read[index], states[index], head) for index, graph in enumerate(graphs)]

    def _plan(self, whole: ArchGraph, graph: ArchGraph, states: Tensor, head: bool) -> DecodePlan:
        """The plan for a graph, of which this GHN reads `graph`, whose nodes are in such states."""
        wanted, left_out = targets(graph, self.config, head=head)
        left_out |= {name: reason for name, reason in graph.left_out.items() if name not in whole.left_out}
        vectors: dict[str, Vector] = {}
        for kind, members in by_kind(wanted).items():
            if kind in ("vector", "class_vector"):
                rows = self._vector_rows(kind, states, [target.node for target in members], members)
                bounds = rows.abs().amax(dim=1).tolist()
                for target, row, bound in zip(members, rows.unbind(0), bounds, strict=True):
                    vectors[target.name] = Vector(row[: target.shape[0]], bound)
        blocks = [target for target in wanted if target.name not in vectors]
        if not blocks:
            return DecodePlan(wanted, vectors, None, left_out, states.mean(dim=0))
        size = 4 * sum(target.numel for target in wanted)
        budget = min(max(size // BUDGET_SHARE, SMALLEST_BUDGET), LARGEST_BUDGET)
        nodes = torch.tensor([target.node for target in blocks], device=states.device)
        stream = STREAMS[self.config.decoder](self.decoder, states[nodes], blocks, budget)
        return DecodePlan(wanted, vectors, stream, left_out, states.mean(dim=0))

    @property
    def _vector_source(self) -> VectorSource:
        return self.decoder if isinstance(self.decoder, LowRankDecoder) else cast(VectorDecoder, self.vectors)

    def _read(self, graph: ArchGraph) -> ArchGraph:
        return restricted(graph, self.config.node_types)

    def _states(self, graphs: Sequence[ArchGraph]) -> Tensor:
        states: Tensor = self.norm(self.gnn(self.encoder(graphs), graphs))
        return states.float()

    def _predict(self, graphs: Sequence[ArchGraph], head: bool) -> list[dict[str, Tensor]]:
        if not graphs:
            return []
        graphs = [self._read(graph) for graph in graphs]
        wanted: list[tuple[int, Target]] = []
        counts, first = [], 0
        for graph in graphs:
            found, _ = targets(graph, self.config, head=head)
            wanted += [(first + target.node, target) for target in found]
            counts.append(len(found))
            first += len(graph)
        states = self._states(graphs)
        # Weights need float32's precision, and decoding is the smaller part of the work.
        with torch.autocast(states.device.type, enabled=False):
            predictions = iter(self._decode(states, wanted))
        return [dict(next(predictions) for _ in range(count)) for count in counts]

    def _decode(self, states: Tensor, wanted: Sequence[tuple[int, Target]]) -> list[tuple[str, Tensor]]:
        normalised: dict[int, Tensor] = {}
        for kind in get_args(Kind):
            members = [index for index, (_, target) in enumerate(wanted) if target.kind == kind]
            if members:
                nodes = [wanted[index][0] for index in members]
                decoded = self._decoded(kind, states, nodes, [wanted[index][1] for index in members])
                normalised.update(zip(members, decoded, strict=True))
        return [(target.name, assembled(normalised[index], target)) for index, (_, target) in enumerate(wanted)]

    def _decoded(self, kind: Kind, states: Tensor, nodes: list[int], wanted: Sequence[Target]) -> list[Tensor]:
        """Normalised blocks of some targets of one kind, from the states of the given nodes."""
        if kind in ("vector", "class_vector"):
            rows = self._vector_rows(kind, states, nodes, wanted)
            return [row[: target.shape[0]] for row, target in zip(rows.unbind(0), wanted, strict=True)]
        chosen = states[torch.tensor(nodes, device=states.device)]
        sizes = [self.decoder.block_size(target) for target in wanted]
        if kind == "block":
            blocks = self.decoder.blocks(chosen, sizes)
        else:
            heads = self.decoder.class_blocks(chosen, [size[1] for size in sizes])
            blocks = [head[:, :, None, None] for head in heads]
        return [block * target.scale for block, target in zip(blocks, wanted, strict=True)]

    def _vector_rows(self, kind: Kind, states: Tensor, nodes: list[int], wanted: Sequence[Target]) -> Tensor:
        """Normalised vectors, (targets, largest length), of targets of kind "vector" or "class_vector"."""
        rows = torch.tensor([target.row for target in wanted], device=states.device)
        chosen = states[torch.tensor(nodes, device=states.device)]
        raw = self._vector_source.rows(chosen, wanted)
        if not self.config.weight_norm:
            return raw
        return torch.where((rows == FACTOR)[:, None], bounded(raw, FACTOR), bounded(raw, OFFSET))
