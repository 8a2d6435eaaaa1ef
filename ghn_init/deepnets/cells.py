"""The plan of an architecture of cells."""

from __future__ import annotations

from ghn_init.deepnets.layout import (
    PATCH,
    STEM_DEEP,
    STEM_WIDE,
    CellLayout,
    head,
    layout,
    reads_deep_stem,
    stem,
)
from ghn_init.deepnets.plan import IMAGE, Plan
from ghn_init.deepnets.spec import Architecture


def plan(architecture: Architecture, num_classes: int = 10, image_size: int = 32) -> Plan:
    """What the architecture's `Network` does.

    Raises:
        ValueError: 'none' operations cut the output off from the image.
    """
    cells = layout(architecture)
    steps = Plan(image_size)
    wide, deep = stem(architecture, image_size)
    stride = PATCH if architecture.attention else 1 + (architecture.stem == "simple" and architecture.stem_pool)
    outputs = {STEM_WIDE: steps.run(wide, "stem.wide", IMAGE, stride)}
    if reads_deep_stem(cells):
        outputs[STEM_DEEP] = steps.run(deep, "stem.deep", outputs[STEM_WIDE], 2) if deep else outputs[STEM_WIDE]
    for index, cell in cells.items():
        outputs[index] = _cell(steps, cell, f"cells.{index}", outputs)
    last = architecture.n_cells - 1
    steps.run(head(architecture, cells[last].outputs, num_classes, image_size), "classifier", outputs[last])
    return steps


def _cell(steps: Plan, cell: CellLayout, path: str, outputs: dict[int, int]) -> int:
    states = {}
    for source, index in cell.sources.items():
        halve = cell.catch_up and source == 0
        states[source] = steps.run(cell.preparation(source), f"{path}.prepare.{source}", outputs[index], 1 + halve)
    for state, edges in cell.live.edges.items():
        results = []
        for step, position in edges:
            _, source = cell.genotype.steps[step][position]
            stride = cell.stride if source < 2 else 1
            results.append(
                steps.run(cell.operation(step, position), f"{path}.ops.{step}_{position}", states[source], stride)
            )
        states[state] = steps.join("add", results)
    return steps.join("cat", [states[state] for state in cell.live.output])
