"""What a network does, step by step: its graph, its size and its cost follow from this without building anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ghn_init.deepnets.block import Block
from ghn_init.deepnets.fragment import PACE, Fragment, Sketch
from ghn_init.graph.arch import ArchGraph
from ghn_init.graph.contract import INPUT

#: The image, where steps name what they read.
IMAGE = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One layer or sequence of layers, or a join.

    Attributes:
        sources: the steps whose results it reads.
        side: of the input's feature map.
        side_out: of the output's.
        fragment: its part of the graph; None for a join.
        name: path of the module, or the joining operation, "add" or "cat".
    """

    sources: tuple[int, ...]
    side: int
    side_out: int
    fragment: Fragment | None
    name: str


class Plan:
    """The steps of a network in the order in which it runs them.

    Args:
        image_size: side of the image.
    """

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        self.steps: list[Step] = []

    def run(self, block: Block, name: str, source: int, stride: int = 1) -> int:
        """Adds layers.

        Args:
            block: one layer or several in a row.
            name: path of their module.
            source: the step that they read.
            stride: by how much they divide the resolution.

        Returns:
            The step.
        """
        side = self.image_size if source == IMAGE else self.steps[source].side_out
        self.steps.append(Step((source,), side, (side - 1) // stride + 1, block.fragment, name))
        return len(self.steps) - 1

    def join(self, op: str, sources: Sequence[int]) -> int:
        """Adds a sum ("add") or a concatenation ("cat"); the step, or the one source itself."""
        if len(sources) == 1:
            return sources[0]
        side = self.steps[sources[0]].side_out
        self.steps.append(Step(tuple(sources), side, side, None, op))
        return len(self.steps) - 1

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(step.fragment.size for step in self.steps if step.fragment is not None)

    @property
    def cost(self) -> float:
        """Approximate multiply-adds for one image."""
        return sum(s.fragment.cost(s.side, s.side_out) for s in self.steps if s.fragment is not None)

    @property
    def amounts(self) -> dict[str, float]:
        """The same by kind of work, `ghn_init.deepnets.fragment.PACE`, and the number of convolutions as "start"."""
        found = dict.fromkeys(PACE, 0.0)
        for step in self.steps:
            if step.fragment is not None:
                for kind, amount in step.fragment.amounts(step.side, step.side_out).items():
                    found[kind] += amount
        return found

    @property
    def load(self) -> float:
        """Approximate time of a training step on CPU for one image of a batch of 32, in plain multiply-adds."""
        return sum(PACE[kind] * amount for kind, amount in self.amounts.items())

    def graph(self) -> ArchGraph:
        """The graph of the network, the one that `ghn_init.graph.trace` finds."""
        sketch = Sketch()
        results: list[int] = []
        for step in self.steps:
            feeds = [INPUT if source == IMAGE else results[source] for source in step.sources]
            if step.fragment is None:
                results.append(sketch.join(step.name, feeds))
            else:
                results.append(sketch.place(step.fragment, feeds[0], step.name))
        return sketch.graph()
