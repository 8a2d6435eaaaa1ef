"""Which nodes of a network's graph decide what a GHN predicts for one of its parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ghn_init.errors import PredictionError
from ghn_init.explain.words import node_words
from ghn_init.graph import ArchGraph, restricted
from ghn_init.hypernet import GHN
from ghn_init.hypernet.targets import Target, targets
from ghn_init.rendering import Rendered, inert, line, plain_table

#: Random directions that the derivative is measured in.
PROBES = 16


@dataclasses.dataclass(frozen=True)
class NodeInfluence:
    """One node.

    Attributes:
        node: its index in the graph.
        type: its node type.
        name: the parameter that is predicted from it, or where the operation comes from.
        distance: edges of the shortest path between it and the parameter's node: negative if it comes before, 0 for
            the node itself; None where no path joins the two.
        share: its part of the influence of all nodes, from 0 to 1.
    """

    node: int
    type: str
    name: str
    distance: int | None
    share: float


@dataclasses.dataclass(frozen=True)
class Influence(Rendered):
    """Which nodes decide a parameter.

    Attributes:
        parameter: the parameter.
        nodes: the nodes with the largest shares, in descending order.
        of: number of nodes of the graph.
        own: share of the parameter's own node: its type and shape.
    """

    parameter: str
    nodes: tuple[NodeInfluence, ...]
    of: int
    own: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return dataclasses.asdict(self)

    def __rich_console__(self, console: Console, options: Any) -> Any:
        shown = sum(node.share for node in self.nodes)
        yield line(
            (self.parameter, "bold"),
            f" is decided to {self.own:.1%} by its own type and shape; these {len(self.nodes)} of {self.of} nodes "
            f"together: {shown:.1%}",
        )
        table = plain_table("share", "node", "type", "parameter or operation", "where", right=("share", "node"))
        for node in self.nodes:
            where = "in parallel" if node.distance is None else _where(node.distance)
            table.add_row(f"{node.share:.1%}", str(node.node), node.type, inert(node.name), where)
        yield table


def influence(
    ghn: GHN, graph: ArchGraph, parameter: str, *, top: int = 10, probes: int = PROBES, seed: int = 0
) -> Influence:
    """Which nodes of a graph decide what a GHN predicts for a parameter.

    A node's influence is the squared Frobenius norm of the derivative of the predicted weight with respect to the
    node's features, the sum of the embeddings of its type and shape, through the graph network and the decoder. It is
    estimated in random directions (Hutchinson, 1990): the mean over standard normal v of |d<v, W>/dx|^2.

    Args:
        ghn: the GHN, whose parameters and their gradients stay as they are.
        graph: the network.
        parameter: name of a predicted parameter.
        top: most nodes of the result; those with a share of 0 are left out.
        probes: number of random directions; the relative error of a share is about ``(2 / probes) ** 0.5`` or less.
        seed: of the directions.

    Raises:
        PredictionError: the parameter is not predicted; with the reason.
        ValueError: `top` or `probes` is below 1.
    """
    if top < 1 or probes < 1:
        raise ValueError(f"top={top} and probes={probes} must be at least 1")
    graph = restricted(graph, ghn.config.node_types)
    target = _target(ghn, graph, parameter)
    energies = node_energies(ghn, graph, target, probes=probes, seed=seed)
    total = float(energies.sum())
    shares = (energies / total if total > 0 else energies).tolist()
    order = sorted(range(len(graph)), key=lambda index: (-shares[index], index))[:top]
    nodes = tuple(
        NodeInfluence(
            index,
            graph.nodes[index].type,
            node_words(graph.nodes[index]),
            _distance(graph, index, target.node),
            shares[index],
        )
        for index in order
        if shares[index] > 0
    )
    return Influence(parameter, nodes, len(graph), shares[target.node])


def node_energies(ghn: GHN, graph: ArchGraph, target: Target, *, probes: int, seed: int) -> Tensor:
    """The influence of each node, not normalised: float64, (nodes,), on the CPU.

    Args:
        ghn: the GHN.
        graph: the network, in the GHN's vocabulary.
        target: what is predicted.
        probes: number of random directions.
        seed: of the directions.
    """
    device = ghn.encoder.types.weight.device
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        with torch.no_grad():
            features = ghn.encoder([graph])
        features = features.clone().requires_grad_()
        states = ghn.norm(ghn.gnn(features, [graph])).float()
        ((_, weight),) = ghn._decode(states, [(target.node, target)])
        energies = torch.zeros(len(graph), dtype=torch.float64)
        for probe in range(probes):
            direction = torch.randn(weight.shape, generator=generator).to(device)
            last = probe == probes - 1
            (gradient,) = torch.autograd.grad(weight, features, direction, retain_graph=not last)
            energies += gradient.double().square().sum(dim=1).cpu()
    return energies / probes


def _target(ghn: GHN, graph: ArchGraph, parameter: str) -> Target:
    wanted, left_out = targets(graph, ghn.config)
    found = next((target for target in wanted if target.name == parameter), None)
    if found is not None:
        return found
    reason = {**graph.left_out, **left_out}.get(graph.aliases.get(parameter, parameter))
    if parameter in graph.aliases and reason is None:
        return _target(ghn, graph, graph.aliases[parameter])
    raise PredictionError(f"{parameter} is not predicted: {reason or 'the network has no such parameter'}")


def _distance(graph: ArchGraph, node: int, target: int) -> int | None:
    if node == target:
        return 0
    before, after = int(graph.distances[node, target]), int(graph.distances[target, node])
    return -before or after or None


def _where(distance: int) -> str:
    if distance == 0:
        return "itself"
    return f"{abs(distance)} {'before' if distance < 0 else 'after'}"
