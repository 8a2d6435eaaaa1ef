"""What is known of each parameter of a drawn network: shape, size, share, and how its values come about."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal

from torch import nn

from ghn_init.drawing.labels import size_words
from ghn_init.graph.arch import ArchGraph
from ghn_init.prediction import Prediction

Fate = Literal["predicted", "kept", "unknown"]


@dataclasses.dataclass(frozen=True)
class ParameterFacts:
    """One parameter.

    Attributes:
        name: its qualified name.
        shape: in its module; None for one without a node in a graph that comes without its module.
        count: number of its elements; None as for `shape`.
        share: of the elements of all parameters.
        nodes: the nodes of the graph that it belongs to.
        also: further names of it (tied).
        fate: whether it is predicted, keeps its values, or nothing was predicted yet.
        how: the same in words, with the block that is repeated, noise, or the reason.
    """

    name: str
    shape: tuple[int, ...] | None
    count: int | None
    share: float | None
    nodes: tuple[int, ...]
    also: tuple[str, ...]
    fate: Fate
    how: str


def parameter_facts(
    graph: ArchGraph, module: nn.Module | None = None, prediction: Prediction | None = None
) -> tuple[ParameterFacts, ...]:
    """All parameters, in the order of the graph's nodes, then those without a node.

    Args:
        graph: the network.
        module: the network, for the shapes of parameters that have no node.
        prediction: what was predicted for it.
    """
    nodes: dict[str, list[int]] = {}
    shapes: dict[str, tuple[int, ...] | None] = {}
    for index, node in enumerate(graph.nodes):
        own, riding = node.param_shape or node.shape, node.rider_shape or node.param_shape or node.shape
        for name, shape in ((node.param, own), (node.rider, riding)):
            if name is not None:
                nodes.setdefault(name, []).append(index)
                shapes.setdefault(name, shape)
    shapes |= {name: None for name in graph.left_out if name not in shapes}
    if module is not None:
        # a node without a rider's shape of its own, or without the parameter's, leaves it to the module
        shapes |= {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    counts = {name: None if shape is None else math.prod(shape) for name, shape in shapes.items()}
    if prediction is not None:
        counts |= prediction.report.predicted
        counts |= {name: count for name, (count, _) in prediction.report.left_alone.items()}
    total = sum(count or 0 for count in counts.values())
    also: dict[str, list[str]] = {}
    for alias, name in graph.aliases.items():
        also.setdefault(name, []).append(alias)
    made = []
    for name in shapes:
        fate, how = _how(name, graph, prediction)
        count = counts[name]
        share = None if count is None else count / total if total else 0.0
        others = tuple(also.get(name, ()))
        made.append(ParameterFacts(name, shapes[name], count, share, tuple(nodes.get(name, ())), others, fate, how))
    return tuple(made)


def total_count(parameters: Iterable[ParameterFacts]) -> int:
    """Elements of all these parameters, as far as they are known."""
    return sum(parameter.count or 0 for parameter in parameters)


def _how(name: str, graph: ArchGraph, prediction: Prediction | None) -> tuple[Fate, str]:
    if prediction is None:
        reason = graph.left_out.get(name)
        return ("unknown", "nothing has been predicted") if reason is None else ("kept", f"not in the graph: {reason}")
    report = prediction.report
    if name not in report.predicted:
        _, reason = report.left_alone.get(name, (0, "the graph does not reach it"))
        return "kept", f"left alone: {reason}"
    block, whole = prediction.decoded(name)
    words = [f"predicted as one block of {size_words(block)}"]
    repeats = [math.ceil(want / have) for want, have in zip(whole, block, strict=True)]
    if math.prod(repeats) > 1:
        cut = any(want % have for want, have in zip(whole, block, strict=True))
        words = [f"tiled from a block of {size_words(block)}, repeated {_times(repeats)}{' and cut' if cut else ''}"]
    if report.noise:
        words.append(f"noise of standard deviation {report.noise:g}")
    share = report.random_shares.get(name, 0.0)
    if share:
        words.append(f"random numbers mixed in, a share of {share:g}")
    if name in report.replaced:
        words.append(f"predicted too small and drawn at random: {report.replaced[name]:.0%} of the out channels")
    if report.calibration is not None and name in report.calibration.changed:
        words.append(f"calibrated by a factor of {report.calibration.changed[name]:.3g}")
    return "predicted", "; ".join(words)


def _times(repeats: list[int]) -> str:
    """How often a block is repeated along its channels: ``8 × 4 (out × in)``."""
    return f"{repeats[0]} times" if len(repeats) == 1 else f"{repeats[0]} × {repeats[1]} times (out × in)"
