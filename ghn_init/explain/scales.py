"""The scale of predicted weights, and of what layers make of data with them, beside the module's own."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

from rich.console import Console
from torch import Tensor, nn

from ghn_init.calibration import measure
from ghn_init.calibration.batches import batch_in
from ghn_init.prediction import Prediction
from ghn_init.rendering import Rendered, inert, line, plain_table

#: A scale this many times the module's own, or less than its inverse, is worth a look.
FAR = 10.0


@dataclasses.dataclass(frozen=True)
class Scale:
    """One parameter or one layer's output.

    Attributes:
        name: the parameter; or the layer, with "#2" and so on for its further calls.
        own: root mean square with the module's own values.
        predicted: root mean square with the predicted ones.
    """

    name: str
    own: float
    predicted: float

    @property
    def ratio(self) -> float:
        """`predicted` as a multiple of `own`: 1 where both are 0, infinite where only `own` is."""
        if self.own == 0:
            return 1.0 if self.predicted == 0 else math.inf
        return self.predicted / self.own

    @property
    def far(self) -> bool:
        """Whether the two differ by more than a factor of `FAR`; where one is 0 on purpose, a ratio says nothing."""
        return self.own > 0 and self.predicted > 0 and not 1 / FAR <= self.ratio <= FAR


@dataclasses.dataclass(frozen=True)
class Scales(Rendered):
    """What `compare_scales` found.

    Attributes:
        data: the batch: random or given, and its shapes.
        weights: each predicted parameter.
        activations: the outputs of layers with parameters, in order of execution.
    """

    data: str
    weights: tuple[Scale, ...]
    activations: tuple[Scale, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types; a ratio or scale that is not finite is null."""

        def row(scale: Scale) -> dict[str, Any]:
            values = {"own": scale.own, "predicted": scale.predicted, "ratio": scale.ratio}
            return {"name": scale.name} | {key: _finite(value) for key, value in values.items()}

        return {
            "data": self.data,
            "weights": [row(scale) for scale in self.weights],
            "activations": [row(scale) for scale in self.activations],
        }

    def summary(self) -> str:
        """One line: the range of the ratios, and how many are far."""
        parts = []
        for title, scales in (("weights", self.weights), ("activations", self.activations)):
            ratios = sorted(scale.ratio for scale in scales if 0 < scale.ratio < math.inf)
            if ratios:
                middle, far = ratios[len(ratios) // 2], sum(scale.far for scale in scales)
                parts.append(
                    f"{title} {ratios[0]:.3g} to {ratios[-1]:.3g} times the module's own (median {middle:.3g}), "
                    f"{far} of {len(scales)} off by more than {FAR:g}"
                )
        return "; ".join(parts) or "nothing to compare"

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield line(("scales", "bold"), f" on {self.data}: {self.summary()}")
        for title, scales in (("weight", self.weights), ("output of", self.activations)):
            table = plain_table(title, "own rms", "predicted rms", "ratio", right=("own rms", "predicted rms", "ratio"))
            for scale in scales:
                style = "bold" if scale.far else ""
                numbers = (f"{value:.3g}" for value in (scale.own, scale.predicted, scale.ratio))
                table.add_row(inert(scale.name), *numbers, style=style)
            yield ""
            yield table


def compare_scales(
    prediction: Prediction, module: nn.Module, *, batch: Any = None, example_inputs: Any = None, seed: int = 0
) -> Scales:
    """Measures weights and activations with predicted and with a module's present values.

    The module is not touched: the predicted weights go into a copy. Batch norms use the batch's statistics.

    Args:
        prediction: of the module.
        module: with the values to compare with, such as its own random ones, in memory.
        batch: what to run it on, as in `ghn_init.measure`; by default standard normal numbers.
        example_inputs: shapes of a random batch, as in `ghn_init.trace`.
        seed: of a random batch.

    Raises:
        CalibrationError: there is no batch that the module takes, or it is on the meta device.
        PredictionError: the prediction does not fit the module.
    """
    batch = None if batch is None else batch_in(batch)  # one for both: some loaders can be read once
    options: dict[str, Any] = {"example_inputs": example_inputs, "seed": seed, "gradients": False}
    own = measure(module, batch, **options)
    parameters = dict(module.named_parameters())
    before = {name: _rms(parameters[name]) for name in prediction.names}
    changed = prediction.load_into(copy.deepcopy(module))
    after = dict(changed.named_parameters())
    predicted = measure(changed, batch, **options)
    others = {layer.name: layer.rms for layer in own.layers}
    return Scales(
        data=own.data,
        weights=tuple(Scale(name, value, _rms(after[name])) for name, value in before.items()),
        activations=tuple(
            Scale(layer.name, others[layer.name], layer.rms) for layer in predicted.layers if layer.name in others
        ),
    )


def _rms(tensor: Tensor) -> float:
    return float(tensor.detach().double().square().mean().sqrt()) if tensor.numel() else 0.0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
