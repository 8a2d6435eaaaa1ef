"""Pieces of graphs: the nodes that a layer or an operation turns into, with its parameters and its work.

A `Fragment` says of an operation, without building it, what its part of the graph is, how many parameters it has and
how many multiply-adds it takes. A `Sketch` puts fragments together to the graph that `ghn_init.graph.trace` finds.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from ghn_init.graph import ArchGraph
from ghn_init.graph.arch import Node

#: In `Part.feeds`: the input of the fragment.
FED = -1


#: Time on CPU as for so many multiply-adds of a plain convolution, at one image of a batch of 32: of each multiply-add
#: by kind, and of the starting of one convolution with what follows it. Norms, attention and depthwise convolutions
#: wait for memory. A fit to training steps: `benchmarks/loads.py`.
PACE = {"plain": 1.0, "norm": 110.0, "depthwise": 16.0, "attention": 11.0, "start": 600_000.0}
#: Kinds of work by node type, where it is not that of a plain convolution.
_KINDS = {"bn": "norm", "ln": "norm", "msa": "attention"}
#: Node types of convolutions and linear layers.
CONVOLUTIONS = frozenset({"conv", "sep_conv", "dil_conv"})


class Extent(enum.IntEnum):
    """At how many places the work of a part is done: the powers of the sides are in `_at`."""

    ONE = 0
    INPUT = 1
    OUTPUT = 2
    PAIRS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One node of a fragment.

    Attributes:
        type: node type.
        feeds: parts before it, by place, that feed it; `FED` is the fragment's input.
        path: of its module, below the fragment's.
        param: name of its parameter in that module.
        shape: of its parameter, or ``(1, 1, height, width)`` of a pooling window.
        rider: name of a second parameter of the same shape.
        op: name of the operation that it stands for, where that is no module.
        with_previous: whether it stands for the same operation as the part before.
        extent: where its work is done.
        work: multiply-adds at each place.
    """

    type: str
    feeds: tuple[int, ...] = (FED,)
    path: str = ""
    param: str | None = None
    shape: tuple[int, ...] | None = None
    rider: str | None = None
    op: str | None = None
    with_previous: bool = False
    extent: Extent = Extent.INPUT
    work: float = 0.0

    @property
    def kind(self) -> str:
        """What its work is, of those of `PACE`."""
        return "depthwise" if self.is_depthwise else _KINDS.get(self.type, "plain")

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution or a linear layer."""
        return self.type in CONVOLUTIONS

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution of each channel by itself."""
        return self.is_convolution and self.shape is not None and self.shape[1] == 1

    @property
    def size(self) -> int:
        """Number of parameters."""
        if self.param is None or self.shape is None:
            return 0
        return math.prod(self.shape) * (1 if self.rider is None else 2)


@dataclasses.dataclass(frozen=True)
class Fragment:
    """The nodes of an operation, in execution order; the last one is its result, or the input where there is none."""

    parts: tuple[Part, ...] = ()

    @functools.cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(part.size for part in self.parts)

    @functools.cached_property
    def _work(self) -> dict[str, list[float]]:
        """What there is to do, by kind and extent; "start" counts the convolutions."""
        found = {kind: [0.0] * len(Extent) for kind in PACE}
        for part in self.parts:
            found[part.kind][part.extent] += part.work
            found["start"][Extent.ONE] += part.is_convolution
        return found

    def cost(self, side: int, side_out: int) -> float:
        """Approximate multiply-adds for one image.

        Args:
            side: height and width of the input.
            side_out: height and width of the output.
        """
        return sum(amount for kind, amount in self.amounts(side, side_out).items() if kind != "start")

    def amounts(self, side: int, side_out: int) -> dict[str, float]:
        """The same by kind of work (the keys of `PACE`), and the number of convolutions as "start"."""
        return {kind: _at(work, side, side_out) for kind, work in self._work.items()}


def _at(amounts: Iterable[float], side: int, side_out: int) -> float:
    once, at_input, at_output, pairs = amounts
    places = side * side
    return once + at_input * places + at_output * side_out * side_out + pairs * places * places


def below(path: str, name: str) -> str:
    """The path of what is called `name` in the module at `path`; either may be empty."""
    return f"{path}.{name}" if path and name else path or name


class Draft:
    """A fragment in the making.

    Attributes:
        parts: the parts so far.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def add(self, part: Part) -> int:
        """The place of a new part."""
        self.parts.append(part)
        return len(self.parts) - 1

    def fragment(self) -> Fragment:
        """What was made."""
        return Fragment(tuple(self.parts))


class Sketch:
    """A graph in the making, in the order in which a network's operations run.

    Joins of a single node are no nodes, and names of operations count as those of `torch.fx` do, so that the graph is
    the one that `ghn_init.graph.trace` finds.
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = [Node("input", source="input")]
        self._edges: list[tuple[int, int]] = []
        self._names: Counter[str] = Counter()
        self._name = ""

    def place(self, fragment: Fragment, feed: int, prefix: str) -> int:
        """Adds the nodes of an operation.

        Args:
            fragment: of the operation.
            feed: the node that feeds it.
            prefix: path of its module.

        Returns:
            The node of its result.
        """
        places = [feed]  # the place of part n, or of FED, is at n + 1
        for part in fragment.parts:
            if part.op is not None and not part.with_previous:
                self._count(part.op)
            path = below(prefix, part.path)
            source = path if part.op is None else self._name
            param = None if part.param is None else below(path, part.param)
            rider = None if part.rider is None else below(path, part.rider)
            param_shape = None if param is None else part.shape
            feeds = [places[place + 1] for place in part.feeds]
            if part.param is None and len(feeds) > 1 and len(set(feeds)) < 2:
                places.append(feeds[0])
            else:
                places.append(self._add(Node(part.type, param, part.shape, param_shape, rider, False, source), feeds))
        return places[-1]

    def join(self, op: str, feeds: Sequence[int]) -> int:
        """The node of a sum ("add") or a concatenation ("cat"), or the one that is joined with itself."""
        self._count(op)
        if len(set(feeds)) < 2:
            return feeds[0]
        return self._add(Node(_JOINS[op], source=self._name), feeds)

    def graph(self) -> ArchGraph:
        """The graph; the last node must be the bias of the classifier, behind its weight."""
        weight, bias = self._nodes[-2:]
        head = (dataclasses.replace(weight, head=True), dataclasses.replace(bias, head=True))
        return ArchGraph((*self._nodes[:-2], *head), tuple(self._edges))

    def _add(self, node: Node, feeds: Sequence[int]) -> int:
        index = len(self._nodes)
        self._nodes.append(node)
        for feed in feeds if len(feeds) < 2 else sorted(set(feeds)):
            self._edges.append((feed, index))
        return index

    def _count(self, op: str) -> None:
        """Names an operation."""
        number = self._names[op]
        self._names[op] = number + 1
        self._name = f"{op}_{number}" if number and op in _NUMBERED else op


_JOINS = {"add": "sum", "cat": "concat"}
#: Operations whose nodes are named as the trace numbers them; others by what they call.
_NUMBERED = frozenset({"add", "cat", "mul"})
