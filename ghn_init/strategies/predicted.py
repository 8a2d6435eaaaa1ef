"""GHN-orth: predicted weights, made orthogonal, with noise."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ghn_init.api import apply
from ghn_init.errors import StrategyError
from ghn_init.options import Blend
from ghn_init.sources import Source
from ghn_init.strategies.layout import layout


def ghn_orth(
    module: nn.Module,
    ghn: Source = None,
    *,
    beta: float = 3e-5,
    layer: int = 0,
    blend: Blend = 0.0,
    seed: int = 0,
    example_inputs: Any = None,
    **options: Any,
) -> None:
    """Predicted weights, made orthogonal after a little noise (Knyazev, 2022, "GHN-orth").

    Weights are matrices (out, in x window). To each is added normal noise of deviation beta · s, where s is the
    deviation of the correlations between its rows (its columns, if these are more); its QR decomposition then gives
    orthonormal rows, or columns where those are fewer, with signs that keep the diagonal of R positive. The classifier
    is left as predicted, and so is all that is no weight. Grouped convolutions count as one matrix, as in the paper's
    code; queries, keys and values too.

    Args:
        module: the module.
        ghn: what predicts, as for `ghn_init.apply`; the paper's is GHN-2, trained on ImageNet.
        beta: scale of the noise; 3e-5 is the paper's choice.
        layer: the first weight to make orthogonal, counted from 1 in the order of execution; 0 for all. The paper
            leaves the first 36 of ResNet-50 as they are, and the first 93 of ConvNeXt-Base.
        blend: as for `ghn_init.apply`; the paper mixes nothing in.
        seed: of the noise, and of `ghn_init.apply`.
        example_inputs: as for `ghn_init.trace`.
        **options: of `ghn_init.apply`.

    Raises:
        StrategyError: `beta` or `layer` is negative.
        GHNInitError: as for `ghn_init.apply`.
    """
    if not beta >= 0 or layer < 0:
        raise StrategyError(f"beta and layer of ghn_orth cannot be negative, got {beta} and {layer}")
    apply(module, ghn, blend=blend, seed=seed, example_inputs=example_inputs, **options)
    g = torch.Generator().manual_seed(seed)
    for number, weight in enumerate(layout(module, example_inputs).weights, start=1):
        if weight.head or number < layer:
            continue
        values = weight.values()
        seen = values.t() if weight.flipped else values.view(weight.shape)
        seen.copy_(_orthogonal(seen.flatten(1), beta, g).reshape(seen.shape))
        weight.write(values)


def _orthogonal(weight: Tensor, beta: float, generator: torch.Generator) -> Tensor:
    q: Tensor
    wide = weight.shape[0] < weight.shape[1]
    tall = weight.t() if wide else weight
    if beta and len(tall) > 1 and tall.shape[1] > 1:
        correlations = torch.corrcoef(tall).nan_to_num()  # constant rows have none
        noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        tall = tall + beta * correlations.std() * (noise.t() if wide else noise)
    q, r = torch.linalg.qr(tall)
    q *= torch.where(r.diagonal() < 0, -1.0, 1.0)
    return q.t() if wide else q


def _signature() -> inspect.Signature:
    """That of `ghn_orth`, with the options of `apply` written out."""
    own = inspect.signature(ghn_orth, eval_str=True)
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    passed = inspect.signature(apply, eval_str=True).parameters.values()
    further = [p for p in passed if p.kind is p.KEYWORD_ONLY and p.name not in own.parameters]
    return own.replace(parameters=[*named, *further])


ghn_orth.__signature__ = _signature()  # type: ignore[attr-defined]
