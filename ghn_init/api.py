"""The calls that most people ever make: `apply`, `predict`, `load`; `trace` is in `ghn_init.graph`."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from torch import nn

from ghn_init.calibration.batches import batch_in, is_wanted
from ghn_init.calibration.state import restored_on_error
from ghn_init.graph import trace
from ghn_init.options import CEILING, FLOOR, NOISE, Blend, Options, Patterns
from ghn_init.prediction import Prediction, as_asked
from ghn_init.sources import Source, device_of, find_ghn

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)
Module = TypeVar("Module", bound=nn.Module)

#: Below this share of predicted parameters, of those that were asked for, the user is warned.
_LITTLE = 0.5


class _Options(TypedDict, total=False):
    noise: float
    seed: int
    head: bool | None
    exclude: Patterns
    layers: Patterns | None
    blend: Blend | None
    floor: float
    ceiling: float
    example_inputs: Any


class _ApplyOptions(_Options, total=False):
    calibrate: Any


@overload
def apply(module: Module, ghn: Source = None, **options: Unpack[_ApplyOptions]) -> Module: ...
@overload
def apply(module: Sequence[Module], ghn: Source = None, **options: Unpack[_ApplyOptions]) -> list[Module]: ...
def apply(
    module: Module | Sequence[Module],
    ghn: Source = None,
    *,
    noise: float = NOISE,
    seed: int = 0,
    head: bool | None = None,
    exclude: Patterns = (),
    layers: Patterns | None = None,
    blend: Blend | None = None,
    floor: float = FLOOR,
    ceiling: float = CEILING,
    example_inputs: Any = None,
    calibrate: Any = False,
) -> Module | list[Module]:
    """Initialises a module with predicted weights, in place, and returns it.

    The same module, checkpoint and seed give the same bits. Buffers, `requires_grad`, dtype, device, training mode and
    the identity of parameters are not touched; parameters that no rule covers keep their values. On an error the
    module is as it was.

    Args:
        module: any module that `ghn_init.trace` can trace, with its parameters in memory; or a list of modules, whose
            graphs the GHN reads in one pass. Their weights equal those of single calls to rounding, as `predict` says.
        ghn: what predicts: None for the checkpoint that comes with the package, the name of a known checkpoint
            ("ghn3-xl"), a Hub repository ("user/repo"), a folder or file, or a GHN.
        noise: standard deviation of the noise that tells tiled copies apart; the bare prediction has
            none of it, and `blend` 0.
        seed: seed of the noise, and of the random numbers of `blend` and `floor`.
        head: whether to predict the classifier head: None if its number of classes is the checkpoint's, True in any
            case (another number of classes is tiled like any weight), False never.
        exclude: patterns (as in `fnmatch`) of names of parameters to leave alone, or of modules all of whose
            parameters are left alone; or one of them.
        layers: such patterns of what to predict, all else being left alone; None for no such limit.
        blend: share of random numbers in the predicted weights (of two dimensions or more), from 0 for the prediction
            to 1 for normal numbers of its size; or shares by pattern as for `exclude`, of which the first that fits
            counts, and none where none fits. None for a tenth, and, where the classifier head is not predicted, so
            that the network is to learn other classes than the GHN did, 1 in the later half of the weights, by order of
            execution. The scale of each out channel stays the predicted one, but for `floor` and `ceiling`.
        floor: where random numbers are mixed in, out channels of weights whose root mean square is predicted smaller
            than this share of He's deviation (sqrt(2 / fan-in); for depthwise and flat kernels sqrt(1 / fan-in), as the
            GHN's own fan-in normalisation has it) are drawn from He's normal distribution instead. A GHN
            that has learnt nothing about a layer predicts the same small numbers for it everywhere, and a network
            hardly learns from these. Heads, tables and tokens are not concerned; 0 for no such limit.
        ceiling: where random numbers are mixed in, weights of convolutions and linear layers whose outputs batch norm
            alone reads are scaled down to a root mean square of this share of He's deviation, if they are predicted
            larger. With the statistics of batches, batch norm takes their scale away again: the network computes the
            same, but for the norm's epsilon, and learns from the steps that optimisers make with weights of the usual
            size. 0 for no such limit.
        example_inputs: see `ghn_init.trace`.
        calibrate: whether to rescale the predicted weights, layer by layer, to outputs of unit variance: True on
            random numbers, or a batch or a loader to do it on; see `ghn_init.calibrate`.

    Raises:
        TraceError: the module cannot be traced.
        CheckpointError: the checkpoint cannot be had.
        PredictionError: the prediction cannot be written, or is not finite.
        CalibrationError: the module does not run on the batch to calibrate on, or its outputs are not finite.
    """
    modules = _modules(module)
    options = Options(noise, seed, head, exclude, layers, blend, floor, ceiling)
    predictions = _predict(modules, ghn, options, example_inputs)
    if len(modules) > 1:  # an error with one of them leaves all as they were
        for prediction in predictions:
            prediction.check()
    with contextlib.ExitStack() as undo:
        if len(modules) > 1 and is_wanted(calibrate):
            batch = batch_in(calibrate)  # the same one for all
            calibrate = True if batch is None else batch
            for one, prediction in zip(modules, predictions, strict=True):
                undo.enter_context(restored_on_error(one, prediction.names))
        for prediction in predictions:
            prediction.load_into(calibrate=calibrate)
            logger.info("%s", prediction.report)
    return module if isinstance(module, nn.Module) else list(module)


@overload
def predict(module: nn.Module, ghn: Source = None, **options: Unpack[_Options]) -> Prediction: ...
@overload
def predict(module: Sequence[nn.Module], ghn: Source = None, **options: Unpack[_Options]) -> list[Prediction]: ...
def predict(
    module: nn.Module | Sequence[nn.Module],
    ghn: Source = None,
    *,
    noise: float = NOISE,
    seed: int = 0,
    head: bool | None = None,
    exclude: Patterns = (),
    layers: Patterns | None = None,
    blend: Blend | None = None,
    floor: float = FLOOR,
    ceiling: float = CEILING,
    example_inputs: Any = None,
) -> Prediction | list[Prediction]:
    """Predicts the weights of a module and writes nothing; the module may be on the meta device.

    For a list of modules, the GHN reads the graphs of those on one device in one pass, padded where their sizes are
    similar, and the result is a list. Its values equal those of single calls to a relative 1e-5 or so, the rounding of
    sums in another order; the same list gives the same bits.

    Args and errors as for `apply`.
    """
    options = Options(noise, seed, head, exclude, layers, blend, floor, ceiling)
    predictions = _predict(_modules(module), ghn, options, example_inputs)
    return predictions[0] if isinstance(module, nn.Module) else predictions


def _modules(given: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    modules = [given] if isinstance(given, nn.Module) else list(given) if isinstance(given, Sequence) else None
    wrong = given if modules is None else next((part for part in modules if not isinstance(part, nn.Module)), None)
    if modules is None or wrong is not None:
        raise TypeError(f"predict and apply take a torch.nn.Module or a list of them, not {type(wrong).__name__}")
    return modules


def _predict(modules: Sequence[nn.Module], ghn: Source, options: Options, example_inputs: Any) -> list[Prediction]:
    predictions: dict[int, Prediction] = {}
    devices = [device_of(module) for module in modules]
    for device in dict.fromkeys(devices):
        started = time.perf_counter()
        name, network = find_ghn(ghn, device)
        members = {index: {"load": time.perf_counter() - started} for index, own in enumerate(devices) if own == device}
        graphs = []
        for index, seconds in members.items():
            started = time.perf_counter()
            graphs.append(trace(modules[index], example_inputs=example_inputs))
            seconds["trace"] = time.perf_counter() - started
        started = time.perf_counter()
        plans = network.plan_many(
            [as_asked(graph, network, options.head) for graph in graphs], head=options.head is not False
        )
        share = (time.perf_counter() - started) / len(plans)
        for (index, seconds), graph, plan in zip(members.items(), graphs, plans, strict=True):
            predictions[index] = Prediction(
                modules[index],
                graph,
                network,
                checkpoint=name,
                options=options,
                seconds=seconds | {"predict": share},
                plan=plan,
                example_inputs=example_inputs,
            )
    for index, prediction in sorted(predictions.items()):
        share = prediction.report.share_of(lambda name: options.refusal(name) is None)
        if share < _LITTLE:
            warnings.warn(
                f"only {share:.1%} of the parameters of {type(modules[index]).__name__} are predicted; the report says "
                "why",
                stacklevel=3,
            )
        familiarity = prediction.report.familiarity
        if familiarity is not None and familiarity.far:
            warnings.warn(
                f"{type(modules[index]).__name__} is far from the architectures that {prediction.report.checkpoint} "
                f"was trained on (distance {familiarity.score:.2f}, above {familiarity.threshold:.2f}): expect poor "
                "weights; ghn_init.explain says more",
                stacklevel=3,
            )
    names = [name for module in modules for name, _ in module.named_parameters()]
    unused = options.unused(names) if names else []
    if unused:
        warnings.warn(f"no parameter or module is named like {', '.join(unused)}", stacklevel=3)
    return [predictions[index] for index in range(len(modules))]
