"""The scale of a network's activations, layer by layer, and of its gradients."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ghn_init.calibration.batches import Batch, batches
from ghn_init.calibration.running import on_first_that_fits
from ghn_init.calibration.state import measuring
from ghn_init.graph.leaves import is_leaf
from ghn_init.rendering import Rendered, inert
from ghn_init.tensors import float_tensors

#: Activations vanish below the first of these root mean squares, and explode beyond the second.
VANISHING, EXPLODING = 1e-3, 1e3


@dataclasses.dataclass(frozen=True)
class LayerScale:
    """The output of one layer, over all of its elements.

    Attributes:
        name: path of the layer in the module, with "#2" and so on for its further calls.
        layer: its class.
        mean: mean.
        std: standard deviation.
        rms: root mean square.
        dead: share of elements that are exactly zero.
        finite: whether all elements are finite.
    """

    name: str
    layer: str
    mean: float
    std: float
    rms: float
    dead: float
    finite: bool


@dataclasses.dataclass(frozen=True)
class ActivationScales(Rendered):
    """What `measure` found.

    Attributes:
        model: class of the module.
        data: the batch: random or given, and its shapes.
        layers: layers with weights in order of execution.
        outputs_finite: whether all of the module's outputs are.
        loss: mean square distance of the outputs to standard normal targets; None if gradients were not asked for.
        gradients: norm of the loss's gradient by parameter, for those that have one.
    """

    model: str
    data: str
    layers: tuple[LayerScale, ...]
    outputs_finite: bool
    loss: float | None = None
    gradients: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether all activations, outputs and gradients are finite."""
        activations = self.outputs_finite and all(layer.finite for layer in self.layers)
        return activations and all(math.isfinite(norm) for norm in self.gradients.values())

    @property
    def smallest(self) -> LayerScale | None:
        """The layer with the smallest root mean square; None without layers."""
        return min(self.layers, key=lambda layer: layer.rms, default=None)

    @property
    def largest(self) -> LayerScale | None:
        """The layer with the largest root mean square, one that is not finite first; None without layers."""
        return max(self.layers, key=lambda layer: layer.rms if math.isfinite(layer.rms) else math.inf, default=None)

    @property
    def vanishing(self) -> list[str]:
        """Layers whose root mean square is below `VANISHING`."""
        return [layer.name for layer in self.layers if layer.rms < VANISHING]

    @property
    def exploding(self) -> list[str]:
        """Layers whose root mean square is beyond `EXPLODING`, or not finite."""
        return [layer.name for layer in self.layers if not layer.rms <= EXPLODING]

    def ratios(self, own: ActivationScales) -> dict[str, float]:
        """Each layer's root mean square as a multiple of the same layer's in `own`, such as the model's own init.

        Layers that are missing there are left out; the ratio to zero is infinite, that of zero to zero 1.
        """
        other = {layer.name: layer.rms for layer in own.layers}
        return {layer.name: _ratio(layer.rms, other[layer.name]) for layer in self.layers if layer.name in other}

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return dataclasses.asdict(self)

    def table(self, own: ActivationScales | None = None) -> Table:
        """A table of the layers, beside another measurement (of the model's own init) where one is given."""
        title = inert(f"{self.model} on {self.data}", "table.title")
        table = Table("layer", "kind", title=title, title_justify="left")
        table.columns[0].overflow = "fold"
        columns = ["rms", "mean", "std", "dead"] + (["own rms", "ratio"] if own else [])
        for column in columns:
            table.add_column(column, justify="right")
        ratios = self.ratios(own) if own else {}
        others = {layer.name: layer.rms for layer in own.layers} if own else {}
        for layer in self.layers:
            cells = [f"{layer.rms:.3g}", f"{layer.mean:.3g}", f"{layer.std:.3g}", f"{layer.dead:.1%}"]
            if own:
                known = layer.name in ratios
                cells += [f"{others[layer.name]:.3g}", f"{ratios[layer.name]:.3g}"] if known else ["", ""]
            table.add_row(inert(layer.name), inert(layer.layer), *cells)
        return table

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield self.table()
        if self.gradients:
            norms = self.gradients.values()
            finite = "finite" if all(map(math.isfinite, norms)) else "NOT finite"
            yield f"gradient norms of {len(norms)} parameters: {min(norms):.3g} to {max(norms):.3g}, {finite}"


def measure(
    module: nn.Module,
    batch: Any = None,
    *,
    example_inputs: Any = None,
    seed: int = 0,
    gradients: bool = True,
    batch_statistics: bool = True,
) -> ActivationScales:
    """Measures the scale of activations and gradients; the module is afterwards as it was.

    The module runs in evaluation mode (no dropout). The loss is the mean square distance of each output to standard
    normal targets, averaged over the outputs.

    Args:
        module: any module with its parameters in memory.
        batch: a tensor, a tuple or dict of arguments, or a loader; by default standard normal numbers.
        example_inputs: shapes for a random batch, as in `ghn_init.trace`.
        seed: of the random batch and the targets.
        gradients: whether to measure the gradients of the parameters that require one.
        batch_statistics: whether batch norms normalise by the batch, as in training, or by their running statistics.

    Raises:
        CalibrationError: there is no batch that the module takes.
    """
    candidates = batches(module, batch, example_inputs=example_inputs, seed=seed)

    def run(tried: Batch) -> ActivationScales:
        layers: list[LayerScale] = []
        with measuring(module, batch_statistics=batch_statistics, seed=seed), torch.inference_mode(False):
            with torch.set_grad_enabled(gradients), _recording(module, layers):
                outputs = list(float_tensors(module(**tried.arguments)))
            norms, loss = _gradients(module, outputs, seed) if gradients else ({}, None)
        return ActivationScales(
            model=type(module).__name__,
            data=tried.source,
            layers=tuple(layers),
            outputs_finite=all(bool(output.isfinite().all()) for output in outputs),
            loss=loss,
            gradients=norms,
        )

    return on_first_that_fits(module, candidates, run)[1]


@contextlib.contextmanager
def _recording(module: nn.Module, layers: list[LayerScale]) -> Iterator[None]:
    calls: dict[str, int] = {}
    handles = []

    def hook_of(path: str) -> Any:
        def hook(part: nn.Module, inputs: Any, outputs: Any) -> None:
            first = next(float_tensors(outputs), None)
            if first is not None and first.numel():
                calls[path] = calls.get(path, 0) + 1
                name = path if calls[path] == 1 else f"{path}#{calls[path]}"
                layers.append(_scale(name, type(part).__name__, first.detach()))

        return hook

    try:
        for path, part in module.named_modules():
            if is_leaf(part) and any(True for _ in part.parameters()):
                handles.append(part.register_forward_hook(hook_of(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scale(name: str, layer: str, output: Tensor) -> LayerScale:
    variance, mean = _moments(output if output.dtype == torch.float64 else output.float())
    if not math.isfinite(variance):  # squares that float32 cannot hold
        variance, mean = _moments(output.double())
    return LayerScale(
        name=name,
        layer=layer,
        mean=mean,
        std=math.sqrt(variance),
        rms=math.sqrt(variance + mean * mean),
        dead=1 - int(torch.count_nonzero(output)) / output.numel(),
        finite=math.isfinite(variance) or bool(output.isfinite().all()),
    )


def _moments(values: Tensor) -> tuple[float, float]:
    variance, mean = torch.var_mean(values, correction=0)
    return float(variance), float(mean)


def _gradients(module: nn.Module, outputs: list[Tensor], seed: int) -> tuple[dict[str, float], float | None]:
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for output in outputs:
        target = torch.randn(output.shape, generator=generator).to(output.device)
        losses.append((output.float() - target).square().mean())
    wanted = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not losses or not any(loss.requires_grad for loss in losses):
        return {}, None
    loss = torch.stack(losses).mean()
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    norms = {
        name: float(torch.linalg.vector_norm(gradient, dtype=torch.float64))
        for name, gradient in zip(wanted, found, strict=True)
        if gradient is not None
    }
    return norms, float(loss.detach())


def _ratio(value: float, other: float) -> float:
    if other == 0:
        return 1.0 if value == 0 else math.inf
    return value / other
