"""Numbers of parameters, computed without building anything."""

from __future__ import annotations

from collections.abc import Callable

from ghn_init.deepnets.layout import head_inputs, layout, reads_deep_stem, stem_channels
from ghn_init.deepnets.ops import Shape
from ghn_init.deepnets.spec import Architecture


def _norm(channels: int, batch_norm: bool) -> int:
    return 2 * channels if batch_norm else 0


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _conv(shape: Shape, kernel: int) -> int:
    return shape.inputs * shape.outputs * kernel**2 + _norm(shape.outputs, shape.batch_norm)


def _rows_columns(shape: Shape, kernel: int) -> int:
    rows = shape.inputs**2 * kernel
    return rows + shape.inputs * shape.outputs * kernel + _norm(shape.outputs, shape.batch_norm)


def _dilated(shape: Shape, kernel: int) -> int:
    return shape.inputs * kernel**2 + _conv(shape, 1)


def _separable(shape: Shape, kernel: int) -> int:
    inner = Shape(shape.inputs, shape.inputs, batch_norm=shape.batch_norm)
    return _dilated(inner, kernel) + _dilated(shape, kernel)


def _skip(shape: Shape) -> int:
    return 0 if shape.stride == 1 else _conv(shape, 1)


def _attention(shape: Shape) -> int:
    width = shape.inputs
    return 2 * 2 * width + _linear(width, 3 * width, bias=False) + 3 * _linear(width, width)


def _excitation(shape: Shape) -> int:
    return _linear(shape.inputs, shape.inputs // 2) + _linear(shape.inputs // 2, shape.inputs)


#: Parameters of each primitive but 'none', in the order of `ghn_init.deepnets.ops.BUILDERS`.
COUNTS: dict[str, Callable[[Shape], int]] = {
    "max_pool_3x3": lambda shape: 0,
    "avg_pool_3x3": lambda shape: 0,
    "skip": _skip,
    "sep_conv_3x3": lambda shape: _separable(shape, 3),
    "sep_conv_5x5": lambda shape: _separable(shape, 5),
    "dil_conv_3x3": lambda shape: _dilated(shape, 3),
    "dil_conv_5x5": lambda shape: _dilated(shape, 5),
    "conv_1x1": lambda shape: _conv(shape, 1),
    "conv_7x1_1x7": lambda shape: _rows_columns(shape, 7),
    "conv_3x3": lambda shape: _conv(shape, 3),
    "conv_5x5": lambda shape: _conv(shape, 5),
    "conv_7x7": lambda shape: _conv(shape, 7),
    "msa": _attention,
    "cse": _excitation,
}


def count_parameters(architecture: Architecture, num_classes: int = 10, image_size: int = 32) -> int:
    """Parameters of the architecture's `Network`; 0 if its output does not depend on the image."""
    cells = layout(architecture)
    if not cells:
        return 0
    total = _stem(architecture, reads_deep_stem(cells), image_size)
    for cell in cells.values():
        if cell.preprocess:
            total += sum(_conv(cell.input_shape(source), 1) for source in cell.sources)
        total += sum(COUNTS[primitive](shape) for _, _, primitive, shape in cell.edges())
    inputs = head_inputs(architecture, cells[architecture.n_cells - 1].outputs, image_size)
    for _ in range(architecture.fc_layers - 1):
        total += _linear(inputs, architecture.fc_dim)
        inputs = architecture.fc_dim
    return total + _linear(inputs, num_classes)


def _stem(a: Architecture, deep: bool, image_size: int) -> int:
    width, kernel = a.width, a.stem_kernel
    if a.attention:
        return 3 * width * 9 + width * ((image_size - 1) // 3 + 1) ** 2
    if a.stem == "simple":
        return _conv(Shape(3, stem_channels(a), batch_norm=a.batch_norm), kernel)
    wide = _conv(Shape(3, width // 2, batch_norm=a.batch_norm), kernel)
    wide += _conv(Shape(width // 2, width, batch_norm=a.batch_norm), 3)
    return wide + (_conv(Shape(width, width, batch_norm=a.batch_norm), 3) if deep else 0)
