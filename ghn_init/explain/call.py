"""The call that explains a prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from torch import nn

from ghn_init.api import predict
from ghn_init.explain.explanation import Explanation
from ghn_init.explain.layers import strange_nodes
from ghn_init.explain.nearest import nearest
from ghn_init.explain.nodes import influence
from ghn_init.explain.scales import compare_scales
from ghn_init.explain.score import judged, statistics_of
from ghn_init.hypernet import GHN
from ghn_init.properties import node_embeddings
from ghn_init.sources import Source, device_of, find_ghn


def explain(
    module: nn.Module,
    ghn: Source = None,
    *,
    example_inputs: Any = None,
    scales: bool = False,
    batch: Any = None,
    influence_on: str | Iterable[str] = (),
    neighbours: int = 5,
    top: int = 10,
    seed: int = 0,
) -> Explanation:
    """What a GHN's prediction for a module rests on: how familiar it is, and on request what decides its weights.

    The module is not touched. Only its architecture counts, but for `scales`, so that it may be on the meta device.

    Args:
        module: any module that `ghn_init.trace` can trace.
        ghn: what predicts, as for `ghn_init.apply`.
        example_inputs: see `ghn_init.trace`.
        scales: whether to measure weights and activations beside the module's present ones, which are to be its own
            initial ones; takes memory for a copy, and two forward passes.
        batch: what to run the module on for `scales`, as in `ghn_init.measure`; by default standard normal numbers.
        influence_on: a parameter, or several, for which to find the nodes that decide what is predicted.
        neighbours: most architectures of the training to show.
        top: most nodes of each parameter of `influence_on` to show.
        seed: of random batches, and of the directions in which influence is measured.

    Raises:
        TraceError: the module cannot be traced.
        CheckpointError: the checkpoint cannot be had, or its statistics are damaged.
        PredictionError: a parameter of `influence_on` is not predicted.
        CalibrationError: `scales` is set, and there is no batch that the module takes.
    """
    name, network = find_ghn(ghn, device_of(module))
    graph, states = node_embeddings(module, network, example_inputs=example_inputs)
    asked = [influence_on] if isinstance(influence_on, str) else list(influence_on)
    influences = tuple(influence(network, graph, parameter, top=top, seed=seed) for parameter in asked)
    measured = None
    if scales:
        prediction = predict(module, network, example_inputs=example_inputs, seed=seed)
        measured = compare_scales(prediction, module, batch=batch, example_inputs=example_inputs, seed=seed)
    found = Explanation(
        model=type(module).__name__,
        checkpoint=network.info.name if isinstance(ghn, GHN) and network.info else name,
        nodes=len(graph),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        familiarity=None,
        scales=measured,
        influences=influences,
    )
    statistics = statistics_of(network)
    if statistics is None:
        return found
    rows = states.double().cpu().numpy()
    calibration = statistics.calibration
    return dataclasses.replace(
        found,
        familiarity=judged(graph, rows.mean(axis=0), statistics),
        trained_on=statistics.source,
        rule="" if calibration is None else calibration.rule,
        evidence="" if calibration is None else calibration.evidence,
        nearest=nearest(rows.mean(axis=0), statistics, neighbours),
        layers=tuple(strange_nodes(network, graph, rows, statistics)),
    )
