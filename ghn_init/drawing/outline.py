"""What is drawn of a graph: boxes for nodes, or for all nodes at one place of a repeated block, and their edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ghn_init.drawing.folding import find_repeats
from ghn_init.graph.arch import ArchGraph, Node


@dataclasses.dataclass(frozen=True)
class Group:
    """A block that is drawn once and stands for several.

    Attributes:
        first: index of its first box.
        last: index of its last box.
        times: how many there are.
        words: the modules that it stands for, empty where their names have nothing in common.
    """

    first: int
    last: int
    times: int
    words: str


@dataclasses.dataclass(frozen=True)
class Outline:
    """Boxes in drawing order, each edge leading to a later one.

    Attributes:
        graph: what is drawn.
        boxes: for each box the indices of its nodes, several in a repeated block.
        edges: pairs of boxes.
        groups: the repeated blocks, in order.
    """

    graph: ArchGraph
    boxes: tuple[tuple[int, ...], ...]
    edges: tuple[tuple[int, int], ...]
    groups: tuple[Group, ...]

    def place(self) -> dict[int, int]:
        """The box of each node."""
        return {node: box for box, members in enumerate(self.boxes) for node in members}

    def nodes(self, box: int) -> list[Node]:
        """The nodes of a box."""
        return [self.graph.nodes[index] for index in self.boxes[box]]

    def virtual_edges(self, longest: int) -> dict[tuple[int, int], int]:
        """Pairs of boxes with nodes that a shortest path of 2 to `longest` edges joins, each with its length."""
        distances = self.graph.distances
        rows, columns = ((distances > 1) & (distances <= longest)).nonzero(as_tuple=True)
        place, found, drawn = self.place(), dict[tuple[int, int], int](), set(self.edges)
        lengths = distances[rows, columns].tolist()
        for start, end, length in zip(rows.tolist(), columns.tolist(), lengths, strict=True):
            pair = place[start], place[end]
            if pair[0] < pair[1] and pair not in drawn and self._drawn(start, end, pair):
                found[pair] = min(length, found.get(pair, length))
        return found

    def _drawn(self, start: int, end: int, pair: tuple[int, int]) -> bool:
        """Whether an edge between two nodes shows: not one from a repeat to another."""
        inside = any(group.first <= pair[0] and pair[1] <= group.last for group in self.groups)
        return not inside or self.boxes[pair[0]].index(start) == self.boxes[pair[1]].index(end)


def outline(graph: ArchGraph, *, fold: bool = True) -> Outline:
    """What to draw of a graph, with its repeated blocks folded or not."""
    order = _order(graph)
    place = {node: index for index, node in enumerate(order)}
    feeds: list[list[int]] = [[] for _ in order]
    for start, end in graph.edges:
        feeds[place[end]].append(place[start])
    nodes = [graph.nodes[index] for index in order]
    repeats = find_repeats(nodes, feeds) if fold else []
    boxes: list[list[int]] = []
    turn = [0] * len(order)
    box_of = [0] * len(order)
    groups: list[Group] = []
    starts = {repeat.first: repeat for repeat in repeats}
    at = 0
    while at < len(order):
        repeat = starts.get(at)
        length, times = (repeat.length, repeat.times) if repeat else (1, 1)
        first = len(boxes)
        boxes += [[] for _ in range(length)]
        for offset in range(length * times):
            turn[at + offset], box_of[at + offset] = divmod(offset, length)
            box_of[at + offset] += first
            boxes[box_of[at + offset]].append(order[at + offset])
        if repeat:
            units = [nodes[at + unit * length : at + (unit + 1) * length] for unit in (0, times - 1)]
            groups.append(Group(first, first + length - 1, times, _words(*units)))
        at += length * times
    group_of = {box: index for index, group in enumerate(groups) for box in range(group.first, group.last + 1)}
    edges = []
    for end, sources in enumerate(feeds):
        for start in sources:
            pair = box_of[start], box_of[end]
            same = group_of.get(pair[0], -1) == group_of.get(pair[1], -2)
            if not same or turn[start] == turn[end]:
                edges.append(pair)
    return Outline(graph, tuple(map(tuple, boxes)), tuple(dict.fromkeys(edges)), tuple(groups))


def _order(graph: ArchGraph) -> list[int]:
    """The nodes in the graph's order, but those that read nothing, the first one apart, right before their readers."""
    feeds = [0] * len(graph)
    for _, end in graph.edges:
        feeds[end] += 1
    roots = {index for index, count in enumerate(feeds) if not count} - {0}
    first_reader: dict[int, int] = {}
    for start, end in graph.edges:
        if start in roots:
            first_reader[start] = min(end, first_reader.get(start, end))
    late: dict[int, list[int]] = {}
    for root, reader in first_reader.items():
        late.setdefault(reader, []).append(root)
    order: list[int] = []
    for index in range(len(graph)):
        if index not in first_reader:
            order += [*sorted(late.get(index, ())), index]
    return order


def _words(first: Sequence[Node], last: Sequence[Node]) -> str:
    """The common path of the first block's parameters, and that of the last one's."""
    paths = [_common([node.param.split(".")[:-1] for node in unit if node.param]) for unit in (first, last)]
    names = [".".join(path) for path in paths]
    if not all(names) or names[0] == names[1]:
        return names[0]
    same = 0
    while paths[0][same : same + 1] == paths[1][same : same + 1]:
        same += 1
    if len(paths[0]) == len(paths[1]) == same + 1:
        return f"{names[0]} … {paths[1][-1]}"
    return f"{names[0]} … {names[1]}"


def _common(paths: Sequence[Sequence[str]]) -> list[str]:
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared
