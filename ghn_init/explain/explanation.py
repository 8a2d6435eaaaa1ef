"""What a GHN's prediction for a network rests on."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Console

from ghn_init.explain.layers import StrangeNode
from ghn_init.explain.nearest import Neighbour
from ghn_init.explain.nodes import Influence
from ghn_init.explain.scales import Scales
from ghn_init.explain.score import Familiarity
from ghn_init.explain.words import shape_words
from ghn_init.rendering import Rendered, inert, line, plain_table

#: Nodes that are shown; `Explanation.layers` has all.
_SHOWN = 12
NO_STATISTICS = (
    "the checkpoint has no statistics of the architectures that it was trained on, so that nothing can be said of how "
    "far this one is from them; ghn_init.explain.fit_familiarity makes them"
)


@dataclasses.dataclass(frozen=True)
class Explanation(Rendered):
    """What a GHN's prediction for a network rests on.

    Attributes:
        model: class of the module, or its name.
        checkpoint: name of the GHN.
        nodes: number of nodes of the graph.
        parameters: number of the network's parameters.
        familiarity: how far the architecture is from those trained on; None where the checkpoint has no statistics.
        trained_on: in words, which architectures the statistics are of.
        rule: how the threshold was chosen, and `evidence` what it was chosen on; empty without one.
        nearest: the nearest architectures of the training.
        layers: all nodes of the graph, the least familiar first; empty without statistics.
        scales: weights and activations beside the module's own; None if not asked for.
        influences: for each parameter that was asked for, which nodes decide it.
    """

    model: str
    checkpoint: str
    nodes: int
    parameters: int
    familiarity: Familiarity | None
    trained_on: str = ""
    rule: str = ""
    evidence: str = ""
    nearest: tuple[Neighbour, ...] = ()
    layers: tuple[StrangeNode, ...] = ()
    scales: Scales | None = None
    influences: tuple[Influence, ...] = ()

    @property
    def score(self) -> float | None:
        """Distance from the architectures trained on; None where the checkpoint has no statistics."""
        return None if self.familiarity is None else self.familiarity.score

    @property
    def percentile(self) -> float | None:
        """Share of them that are nearer, from 0 to 100; None likewise."""
        return None if self.familiarity is None else self.familiarity.percentile

    @property
    def threshold(self) -> float | None:
        """The score above which predictions were measured to be poor; None where that is not known."""
        return None if self.familiarity is None else self.familiarity.threshold

    @property
    def verdict(self) -> str:
        """In one sentence, how far the prediction is to be trusted."""
        if self.familiarity is None:
            return NO_STATISTICS
        if self.familiarity.far:
            return f"far from what the GHN knows: {self.familiarity}"
        return str(self.familiarity)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {
            "model": self.model,
            "checkpoint": self.checkpoint,
            "nodes": self.nodes,
            "parameters": self.parameters,
            "familiarity": None if self.familiarity is None else self.familiarity.to_dict(),
            "verdict": self.verdict,
            "trained_on": self.trained_on,
            "rule": self.rule,
            "evidence": self.evidence,
            "nearest": [neighbour.to_dict() for neighbour in self.nearest],
            "layers": [node.to_dict() for node in self.layers],
            "scales": None if self.scales is None else self.scales.to_dict(),
            "influences": [influence.to_dict() for influence in self.influences],
        }

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield line(
            (self.model, "bold"),
            f" ({self.nodes:,} nodes, {self.parameters:,} parameters) to checkpoint ",
            (self.checkpoint, "bold"),
        )
        yield line((self.verdict, "bold yellow" if self.familiarity is None or self.familiarity.far else "bold"))
        for text in (self.trained_on and f"trained on: {self.trained_on}", self.rule, self.evidence):
            if text:
                yield inert(text)
        if self.nearest:
            yield ""
            yield self._nearest_table()
        if self.layers:
            yield ""
            yield from self._layer_parts()
        for part in (self.scales, *self.influences):
            if part is not None:
                yield ""
                yield part

    def _nearest_table(self) -> Any:
        numbers = ("distance", "cells", "parameters", "nodes")
        table = plain_table("nearest of the training", *numbers, "after import ghn_init.deepnets", right=numbers)
        for one in self.nearest:
            cells = "" if one.cells is None else str(one.cells)
            sizes = (f"{one.parameters:,}", str(one.nodes))
            table.add_row(inert(one.name), f"{one.distance:.2f}", cells, *sizes, inert(one.rebuild))
        return table

    def _layer_parts(self) -> Any:
        strange = sum(bool(node.reasons) for node in self.layers)
        yield f"{strange} of {len(self.layers)} nodes have something about them that was not seen in training"
        right = ("node", "distance")
        table = plain_table("node", "least familiar", "type", "shape", "distance", "why", right=right)
        for node in self.layers[:_SHOWN]:
            table.add_row(
                str(node.node),
                inert(node.name),
                node.type,
                shape_words(node.shape),
                "" if node.distance is None else f"{node.distance:.1f}",
                inert("; ".join(node.reasons)),
            )
        yield table
