"""Which parts of an architecture its output depends on: only these are built."""

from __future__ import annotations

import dataclasses

from ghn_init.deepnets.spec import Architecture, CellGenotype

#: Where a state of a cell comes from: states 0 and 1 are the cell's inputs.
INPUTS = (0, 1)


@dataclasses.dataclass(frozen=True)
class LiveCell:
    """The part of a cell that is built.

    Attributes:
        edges: for each live inner state, its live (step, position) operations; 'none' is not among them.
        output: the live states that are concatenated.
        inputs: the inputs (0, 1) that are read.
    """

    edges: dict[int, tuple[tuple[int, int], ...]]
    output: tuple[int, ...]
    inputs: frozenset[int]

    @property
    def operations(self) -> list[tuple[int, int]]:
        """The live (step, position) operations in order."""
        return sorted(edge for edges in self.edges.values() for edge in edges)


def live_cells(architecture: Architecture) -> dict[int, LiveCell]:
    """The cells that the output depends on, by index; empty if 'none' cuts the output off from the image."""
    defined = _defined_outputs(architecture)
    if not defined[-1]:
        return {}

    needed = {architecture.n_cells - 1}
    cells = {}
    for index in reversed(range(architecture.n_cells)):
        if index in needed:
            cells[index] = _live(architecture.cell(index), (defined[index], defined[index + 1]))
            # input 0 of cell i is cell i - 2, input 1 is cell i - 1
            needed |= {index - 2 + source for source in cells[index].inputs}
    return dict(sorted(cells.items()))


def all_cells(architecture: Architecture) -> dict[int, LiveCell]:
    """The cells by index as if the output depended on all of them, 'none' alone left out."""
    cells = {}
    for index in range(architecture.n_cells):
        cell = architecture.cell(index)
        edges = {
            step + 2: tuple((step, place) for place, (primitive, _) in enumerate(pair) if primitive != "none")
            for step, pair in enumerate(cell.steps)
        }
        cells[index] = LiveCell(edges, cell.output, frozenset(INPUTS))
    return cells


def output_alive(architecture: Architecture) -> bool:
    """Whether the output depends on the image."""
    return _defined_outputs(architecture)[-1]


def _defined_outputs(architecture: Architecture) -> list[bool]:
    """Whether each output depends on the image: the stem's two, then those of the cells."""
    defined = [True, True]
    for index in range(architecture.n_cells):
        cell = architecture.cell(index)
        states = _defined_states(cell, (defined[-2], defined[-1]))
        defined.append(any(states[state] for state in cell.output))
    return defined


def _defined_states(cell: CellGenotype, inputs: tuple[bool, bool]) -> list[bool]:
    states = list(inputs)
    for step in cell.steps:
        states.append(any(primitive != "none" and states[source] for primitive, source in step))
    return states


def _live(cell: CellGenotype, inputs: tuple[bool, bool]) -> LiveCell:
    defined = _defined_states(cell, inputs)
    output = tuple(state for state in cell.output if defined[state])
    needed = set(output)
    edges = {}
    for step in reversed(range(len(cell.steps))):
        state = step + 2
        if state not in needed:
            continue
        alive = tuple(
            (step, position)
            for position, (primitive, source) in enumerate(cell.steps[step])
            if primitive != "none" and defined[source]
        )
        edges[state] = alive
        needed |= {cell.steps[step][position][1] for _, position in alive}
    return LiveCell(edges=dict(sorted(edges.items())), output=output, inputs=frozenset(needed & set(INPUTS)))
