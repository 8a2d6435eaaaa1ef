"""One run of a network in which the products of data with weights are measured and rescaled as the data flow."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ghn_init.calibration.errors import CalibrationError
from ghn_init.calibration.weights import Weights

_ATEN = torch.ops.aten

#: The mean of an output counts for its scale where it is more than this many deviations.
FLATNESS = 10.0


@dataclasses.dataclass(frozen=True)
class Product:
    """An operation that is linear in a weight.

    Attributes:
        weights: places of the arguments that may be the weight, likely ones first.
        bias: place of what is added to the product.
        linear: the operation without that.
        channels: dimension of the output along which a bias vector lies.
    """

    weights: tuple[int, ...]
    bias: int | None = None
    linear: Callable[..., Tensor] | None = None
    channels: int = -1


#: What linear layers, convolutions, matrix products, einsums and attention layers come down to, whoever calls them.
#: Not `mv`: spectral norms apply it to a weight and a vector of their own, and a batch is never a vector.
PRODUCTS: Mapping[Any, Product] = {
    _ATEN.convolution.default: Product((1,), 2, lambda x, w, b, *rest: _ATEN.convolution.default(x, w, None, *rest), 1),
    _ATEN.addmm.default: Product((2, 1), 0, lambda b, x, w: _ATEN.mm.default(x, w)),
    _ATEN.baddbmm.default: Product((2, 1), 0, lambda b, x, w: _ATEN.bmm.default(x, w)),
    _ATEN.mm.default: Product((1, 0)),
    _ATEN.bmm.default: Product((1, 0)),
}
#: Operations that take a kernel, and its place: one that is a product itself makes no activations but a layer.
KERNELS: Mapping[Any, int] = {_ATEN.convolution.default: 1}
#: Operations that read a weight without a product: their results follow its factor and do not decide on it.
LOOKUPS: Mapping[Any, int] = {_ATEN.embedding.default: 0}


def scale_of(output: Tensor) -> float:
    """Standard deviation over all elements; for a nearly constant output a tenth of its root mean square."""
    values = output if output.dtype == torch.float64 else output.float()
    variance, mean = (float(value) for value in torch.var_mean(values, correction=0))
    return max(math.sqrt(variance), math.sqrt(variance + mean * mean) / FLATNESS)


class ProductRun(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Measures each weight's first product with data, and goes on with outputs as the right factors would make them.

    The weights themselves are not written.

    Args:
        module: the network that will be run inside this context.
        factors: factor of each weight known so far; those found are added.
        adjust: the weights whose factor may change; for those that are normalised before use that is their gain's.
        target: the scale to reach.
        tolerance: largest relative distance from it that is left as it is.

    Attributes:
        scales: scale of each weight's first product, before a change of its factor in this run.
        kernels: weights whose product with data is the kernel of a convolution, and not an activation.
        changed: weights whose factor this run has changed.
    """

    def __init__(
        self,
        module: nn.Module,
        factors: dict[str, float],
        *,
        adjust: Collection[str],
        kernels: Collection[str] = (),
        target: float = 1.0,
        tolerance: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = Weights(module)
        self._factors = factors
        self._adjust = adjust
        self._target, self._tolerance = target, tolerance
        self.scales: dict[str, float] = {}
        self.kernels = set(kernels)
        self.changed: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operation, rescaled where it is linear in a weight."""
        kwargs = kwargs or {}
        product = PRODUCTS.get(func)
        if product is not None:
            name = next((found for p in product.weights if (found := self._weights.parameter(args[p]))), None)
            if name is not None:
                return self._rescaled(func, product, name, args, kwargs)
            maker = self._weights.kernel_of(args[KERNELS[func]]) if func in KERNELS else None
            if maker is not None:
                self.kernels.add(maker)
                return self._rescaled(func, product, maker, args, kwargs, follows=True)
        result = func(*args, **kwargs)
        if func in LOOKUPS:
            factor = self._factors.get(self._weights.parameter(args[LOOKUPS[func]]) or "", 1.0)
            return result if factor == 1.0 else result * factor
        self._weights.derive(func, args, result)
        return result

    def _rescaled(
        self,
        func: Any,
        product: Product,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        follows: bool = False,
    ) -> Tensor:
        """The product with its weight's factor, which is found here if it may change.

        Args:
            func: the operation.
            product: what is known of it.
            name: the weight.
            args: the operation's.
            kwargs: the operation's.
            follows: whether the factor is in the operation's arguments already.
        """
        bias = None if product.bias is None else args[product.bias]
        if bias is None or product.linear is None:
            output: Tensor = func(*args, **kwargs)
        else:
            output = product.linear(*args) * kwargs.get("alpha", 1)
        if not follows and self._factors.get(name, 1.0) != 1.0:
            output = output * self._factors[name]
        if name in self.kernels and not follows:
            self._weights.note(output, name, data=True)
            return output
        if name not in self.scales and output.numel():
            step = self._step(name, output)
            if step != 1.0:
                output = output * step
                self._factors[name] = self._factors.get(name, 1.0) * step
                self.changed.add(name)
        if not follows:
            self._weights.note(output, name, data=True)
        if bias is not None and kwargs.get("beta", 1) != 0:
            shape = [1] * output.dim()
            shape[product.channels] = -1
            output = output + (bias.view(shape) if bias.dim() == 1 else bias) * kwargs.get("beta", 1)
        return output

    def may_change(self, name: str) -> bool:
        """Whether the factor of a weight, or of a gain, may change, as far as the run has come."""
        return name in self._adjust or not self._weights.behind.get(name, set()).isdisjoint(self._adjust)

    def _step(self, name: str, output: Tensor) -> float:
        scale = self.scales[name] = scale_of(output)
        if not self.may_change(name) or scale == 0:
            return 1.0
        if not math.isfinite(scale):
            raise CalibrationError(
                f"the product of the data with {name} is not finite, though all before it is calibrated: "
                "the weight or the batch holds numbers that are not finite, or too large"
            )
        return self._target / scale if abs(scale / self._target - 1) > self._tolerance else 1.0
