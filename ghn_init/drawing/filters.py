"""The filters of a network's first convolution, as images."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ghn_init.api import predict
from ghn_init.atomic import write_atomically
from ghn_init.drawing.errors import DrawingError, needed
from ghn_init.graph.arch import ArchGraph
from ghn_init.prediction import Prediction
from ghn_init.sources import Source

#: Filters that are shown unless told otherwise, and most in-channels of one that is shown channel by channel.
MOST, MOST_CHANNELS = 64, 16
_GAP = 1
_DPI = 100.0
#: Pixels of the picture, width and height.
FILTERS_SIZE = (1200, 640)


@dataclasses.dataclass(frozen=True)
class Filters:
    """The first filters, as predicted and as the network's own initialisation made them.

    Attributes:
        name: the parameter.
        predicted: image (height, width, 3), numbers from 0 to 1.
        own: likewise.
        shown: how many filters are shown.
        shape: shape of the parameter.
    """

    name: str
    predicted: NDArray[np.float32]
    own: NDArray[np.float32]
    shown: int
    shape: tuple[int, ...]


def first_filters(graph: ArchGraph) -> str:
    """Name of the first parameter, in the graph's order, that is a kernel of more than one pixel.

    Raises:
        DrawingError: there is none.
    """
    for node in graph.nodes:
        shape = node.param_shape or node.shape or ()
        if node.param and node.type != "pos_enc" and len(shape) in (4, 5) and math.prod(shape[2:]) > 1:
            return node.param
    raise DrawingError("the network has no convolution of more than one pixel whose filters could be drawn")


def filters(module: nn.Module, prediction: Prediction, most: int = MOST) -> Filters:
    """The filters of a network's first convolution, predicted and own.

    Args:
        module: the network, with its own values in memory.
        prediction: what is predicted for it.
        most: filters to show.

    Raises:
        DrawingError: there is no such convolution, it is not predicted, or the module has no values.
    """
    name = first_filters(prediction.graph)
    if name not in prediction:
        reason = prediction.report.left_alone.get(name, (0, "unknown"))[1]
        raise DrawingError(f"the filters of {name} are not predicted: {reason}")
    own = module.get_parameter(name).detach()
    if own.is_meta:
        raise DrawingError(f"{name} has no values to draw (meta device): build the network with memory")
    shape = tuple(own.shape)
    shown = min(most, shape[0])
    return Filters(name, bank_image(prediction[name][:shown]), bank_image(own[:shown]), shown, shape)


def bank_image(bank: Tensor) -> NDArray[np.float32]:
    """Filters (count, channels, [depth,] height, width) as an image (height, width, 3) with numbers from 0 to 1.

    Those of three channels are red, green and blue; others are grey, the channels of a filter side by side, of which
    the first `MOST_CHANNELS` are shown. Of a third kernel dimension the middle is shown. Grey in the
    middle is 0, and the largest number of all filters black or white. Lines between them are white.
    """
    values = bank.detach().to("cpu", torch.float32)
    if values.dim() == 5:
        values = values[:, :, values.shape[2] // 2]
    largest = float(values.abs().amax()) or 1.0
    values = (values / (2 * largest) + 0.5).clamp(0, 1)
    count, channels, _, _ = values.shape
    if channels == 3:
        tiles, across = values.permute(0, 2, 3, 1).numpy(), math.ceil(math.sqrt(count))
        return _grid(tiles, across, _GAP)
    shown = min(channels, MOST_CHANNELS)
    grey = values[:, :shown, :, :, None].expand(-1, -1, -1, -1, 3).numpy()
    rows = np.stack([_grid(one, shown, _GAP) for one in grey])
    # about as many tiles across as down
    return _grid(rows, math.ceil(math.sqrt(count / shown)), _GAP if shown == 1 else 3 * _GAP)


def _grid(tiles: NDArray[np.float32], across: int, gap: int) -> NDArray[np.float32]:
    """Tiles (count, height, width, 3) side by side, so many in a row, with white lines between them."""
    count, height, width, _ = tiles.shape
    down = math.ceil(count / across)
    sides = down * (height + gap) - gap, across * (width + gap) - gap
    image = np.ones((*sides, 3), dtype=np.float32)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, across)
        top, left = row * (height + gap), column * (width + gap)
        image[top : top + height, left : left + width] = tile
    return image


def draw_filters(
    module: nn.Module,
    path: str | Path | None = None,
    *,
    prediction: Prediction | None = None,
    ghn: Source = None,
    most: int = MOST,
    size: tuple[int, int] = FILTERS_SIZE,
    example_inputs: Any = None,
) -> Any:
    """Draws the filters of a network's first convolution: predicted, beside the network's own.

    Args:
        module: the network, with its own initialisation in memory; it is not changed.
        path: .png or .svg file to write; nothing is written by default.
        prediction: what is predicted for it; by default what `ghn` predicts.
        ghn: as for `ghn_init.apply`.
        most: filters to show.
        size: width and height in pixels.
        example_inputs: see `ghn_init.trace`.

    Returns:
        The `matplotlib.figure.Figure`, which Jupyter shows.

    Raises:
        DrawingError: there is no convolution to show, it is not predicted or has no values; another suffix; or
            matplotlib is missing.
    """
    if path is not None and Path(path).suffix.lower() not in (".png", ".svg"):
        raise DrawingError(f"{path}: the suffix says what to write; known are .png, .svg")
    if most < 1:
        raise DrawingError(f"at least one filter is drawn, not {most}")
    figure_class = needed("matplotlib.figure").Figure
    if prediction is None:
        prediction = predict(module, ghn, example_inputs=example_inputs)
    found = filters(module, prediction, most)
    figure = figure_class(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.08)
    sides = {
        f"predicted by the checkpoint {prediction.report.checkpoint}": found.predicted,
        "the network's own initialisation": found.own,
    }
    for axes, (title, image) in zip(figure.subplots(1, 2), sides.items(), strict=True):
        axes.imshow(image, interpolation="nearest", aspect="equal")
        axes.set_title(title, fontsize=11, parse_math=False)
        axes.set_axis_off()
    shape = " × ".join(map(str, found.shape))
    part = f", the first {found.shown}" if found.shown < found.shape[0] else ""
    figure.suptitle(f"{prediction.report.model}: {found.name}, {shape}{part}", fontsize=12, parse_math=False)
    if path is not None:
        target = Path(path)
        write_atomically(
            target, lambda temporary: figure.savefig(temporary, format=target.suffix[1:].lower(), dpi=_DPI)
        )
    return figure
