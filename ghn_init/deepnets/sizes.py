"""Numbers of parameters, computed without building anything."""

from __future__ import annotations

from ghn_init.deepnets.layout import head, layout, reads_deep_stem, stem
from ghn_init.deepnets.liveness import output_alive
from ghn_init.deepnets.spec import Architecture


def count_parameters(
    architecture: Architecture, num_classes: int = 10, image_size: int = 32, *, dead: bool = False
) -> int:
    """Parameters of the architecture's `Network`; 0 if its output does not depend on the image.

    Args:
        architecture: of which.
        num_classes: outputs of the classifier.
        image_size: side of the images.
        dead: count what the output does not depend on as well, as the published networks have it.
    """
    if not output_alive(architecture):
        return 0
    cells = layout(architecture, dead=dead)
    wide, deep = stem(architecture, image_size)
    total = wide.fragment.size
    if deep is not None and (dead or reads_deep_stem(cells)):
        total += deep.fragment.size
    for cell in cells.values():
        total += sum(cell.preparation(source).fragment.size for source in cell.sources)
        total += sum(cell.operation(*place).fragment.size for place in cell.live.operations)
    last = cells[architecture.n_cells - 1]
    return total + head(architecture, last.outputs, num_classes, image_size).fragment.size
