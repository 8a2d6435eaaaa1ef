"""The calls that most people ever make: `apply`, `predict`, `load`; `trace` is in `ghn_init.graph`."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ghn_init.checkpoints import DEFAULT, load
from ghn_init.errors import PredictionError
from ghn_init.graph import trace
from ghn_init.hypernet import GHN
from ghn_init.prediction import Prediction

logger = logging.getLogger(__name__)
Module = TypeVar("Module", bound=nn.Module)

#: Standard deviation of the noise on the predictions, the scale with which GHN-3's authors fine-tune.
NOISE = 1e-5
#: Below this share of predicted parameters, the user is warned.
_LITTLE = 0.5


def apply(
    module: Module,
    ghn: str | Path | GHN | None = None,
    *,
    noise: float = NOISE,
    seed: int = 0,
    head: bool | None = None,
    exclude: Sequence[str] = (),
    example_inputs: Any = None,
) -> Module:
    """Initialises a module with predicted weights, in place, and returns it.

    The same module, checkpoint and seed give the same bits. Buffers, `requires_grad`, dtype, device, training mode and
    the identity of parameters are not touched; parameters that no rule covers keep their values. On an error the
    module is as it was.

    Args:
        module: any module that `ghn_init.trace` can trace, with its parameters in memory.
        ghn: what predicts: None for the checkpoint that comes with the package, the name of a known checkpoint
            ("ghn3-xl"), a Hub repository ("user/repo"), a folder or file, or a GHN.
        noise: standard deviation of the noise that tells tiled copies apart; 0 for the bare prediction.
        seed: seed of the noise.
        head: whether to predict the classifier head: None if its number of classes is the checkpoint's, True in any
            case (another number of classes is tiled like any weight), False never.
        exclude: patterns (as in `fnmatch`) of names of parameters to leave alone.
        example_inputs: see `ghn_init.trace`.

    Raises:
        TraceError: the module cannot be traced.
        CheckpointError: the checkpoint cannot be had.
        PredictionError: the prediction cannot be written, or is not finite.
    """
    prediction = predict(module, ghn, noise=noise, seed=seed, head=head, exclude=exclude, example_inputs=example_inputs)
    prediction.load_into(module)
    logger.info("%s", prediction.report)
    return module


def predict(
    module: nn.Module,
    ghn: str | Path | GHN | None = None,
    *,
    noise: float = NOISE,
    seed: int = 0,
    head: bool | None = None,
    exclude: Sequence[str] = (),
    example_inputs: Any = None,
) -> Prediction:
    """Predicts the weights of a module and writes nothing; the module may be on the meta device.

    Args and errors as for `apply`.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"predict and apply take a torch.nn.Module, not {type(module).__name__}")
    if noise < 0:
        raise ValueError(f"noise is a standard deviation and cannot be negative, got {noise}")
    started = time.perf_counter()
    name, network = _ghn(ghn, _device(module))
    loaded = time.perf_counter()
    graph = trace(module, example_inputs=example_inputs)
    traced = time.perf_counter()
    prediction = Prediction(
        module,
        graph,
        network,
        checkpoint=name,
        noise=noise,
        seed=seed,
        head=head,
        exclude=exclude,
        seconds={"load": loaded - started, "trace": traced - loaded},
    )
    if prediction.report.share < _LITTLE:
        warnings.warn(
            f"only {prediction.report.share:.1%} of the parameters of {type(module).__name__} are predicted; "
            "the report says why",
            stacklevel=2,
        )
    return prediction


def _ghn(ghn: str | Path | GHN | None, device: torch.device) -> tuple[str, GHN]:
    if isinstance(ghn, GHN):
        return type(ghn).__name__, ghn
    if not isinstance(ghn, (str, Path, type(None))):
        raise PredictionError(f"ghn is a name, a path or a GHN, not {type(ghn).__name__}")
    name = DEFAULT if ghn is None else str(ghn)
    return name, _default(device) if name == DEFAULT else load(name, device=device)


@lru_cache(maxsize=1)
def _default(device: torch.device) -> GHN:
    return load(DEFAULT, device=device)


def _device(module: nn.Module) -> torch.device:
    """Where to predict: on the module's device, on the CPU for one without memory."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None or parameter.is_meta else parameter.device
