"""Statistics of the architectures that a GHN was trained on, for its ``config.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ghn_init.explain.described import Familiar, graph_and_words, parameters_in
from ghn_init.explain.shapes import known_shape
from ghn_init.explain.statistics import QUANTILES, Array, Exemplar, Statistics, TypeStatistics
from ghn_init.graph import ArchGraph, restricted
from ghn_init.hypernet import GHN
from ghn_init.images.optional import needed

#: Principal components that distances are measured in, at most: a config.json is no place for large matrices.
COMPONENTS = 64
#: Those of them that the place of an exemplar has.
PLACE = 16
#: Exemplars that are kept.
EXEMPLARS = 256
#: Parts of the architectures, each of which is measured with the statistics of the others.
FOLDS = 5
#: Fewer architectures say nothing.
FEWEST = 20


class _Seen(NamedTuple):
    """What is kept of one architecture."""

    graph: ArchGraph
    states: Array
    exemplar: Exemplar


def fit_familiarity(
    ghn: GHN, architectures: Iterable[Familiar], *, source: str = "", exemplars: int = EXEMPLARS
) -> dict[str, Any]:
    """The statistics that a checkpoint's ``config.json`` holds under ``familiarity``.

    Covariances are shrunk (Ledoit & Wolf, 2004). See `ghn_init.explain.statistics` for what is in the result.

    Args:
        ghn: the trained GHN.
        architectures: what it was trained on, or others of the same distribution: a few hundred.
            `ghn_init.training.architectures.ArchitectureStream` draws those of a training.
        source: in words, which architectures these are.
        exemplars: how many of them to keep, to show the nearest: the first ones.

    Returns:
        JSON types. `CheckpointInfo.familiarity` takes it.

    Raises:
        DataError: scikit-learn is missing; the message says how to install it.
        ValueError: fewer than `FEWEST` architectures.
    """
    needed("sklearn.covariance")
    found = list(_seen(ghn, architectures))
    if len(found) < FEWEST:
        raise ValueError(f"{len(found)} architectures say too little of a distribution: give at least {FEWEST}")
    return statistics_of(ghn, found, source, exemplars).to_dict()


def statistics_of(ghn: GHN, found: Sequence[_Seen], source: str, exemplars: int) -> Statistics:
    """`fit_familiarity`, before rounding."""
    embeddings = np.stack([one.states.mean(axis=0) for one in found])
    mean, whitening = embeddings.mean(axis=0), whitened(embeddings)
    names = [node.type for one in found for node in one.graph.nodes]
    states = np.concatenate([one.states for one in found])
    types, centred = {}, np.empty_like(states)
    for name in sorted(set(names)):
        own = np.array([other == name for other in names])
        centre = states[own].mean(axis=0)
        centred[own] = states[own] - centre
        types[name] = TypeStatistics(int(own.sum()), centre, _values_seen(name, found, ghn))
    node_whitening = whitened(centred)
    kept = []
    for one, embedding in list(zip(found, embeddings, strict=True))[:exemplars]:
        place = (whitening @ (embedding - mean))[:PLACE]
        kept.append(dataclasses.replace(one.exemplar, place=place))
    return Statistics(
        source=source,
        architectures=len(found),
        mean=mean,
        whitening=whitening,
        quantiles=_quantiles(_distances_of_unseen(embeddings)),
        types=types,
        node_whitening=node_whitening,
        node_quantiles=_quantiles(np.linalg.norm(centred @ node_whitening.T, axis=1)),
        exemplars=tuple(kept),
    )


def whitened(rows: Array) -> Array:
    """(components, columns): W with W C W^T = 1 for the shrunk covariance C of rows, in its largest components.

    Components have descending variance; the largest element of each is positive, so that they do not depend on how the
    decomposition was computed.
    """
    from sklearn.covariance import LedoitWolf

    values, vectors = np.linalg.eigh(LedoitWolf().fit(rows).covariance_)
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    # rows that are all equal have no variance in any direction, or in some
    return np.asarray((vectors * signs).T / np.sqrt(np.maximum(values, np.finfo(np.float32).tiny))[:, None])


def _distances_of_unseen(embeddings: Array) -> Array:
    """Distance of each from the others' mean, by statistics of the other folds."""
    distances = np.empty(len(embeddings))
    fold = np.arange(len(embeddings)) % FOLDS
    for part in range(FOLDS):
        others, own = embeddings[fold != part], embeddings[fold == part]
        distances[fold == part] = np.linalg.norm((own - others.mean(axis=0)) @ whitened(others).T, axis=1)
    return distances


def _quantiles(values: Array) -> Array:
    return np.quantile(values, np.linspace(0, 1, QUANTILES))


def _values_seen(node_type: str, found: Sequence[_Seen], ghn: GHN) -> tuple[tuple[int, ...], ...]:
    """The values of each dimension of the shapes of a type's nodes, as the encoder tells them apart."""
    shapes = {node.shape for one in found for node in one.graph.nodes if node.type == node_type and node.shape}
    return tuple(tuple(sorted(values)) for values in zip(*(known_shape(ghn, shape) for shape in shapes), strict=True))


def _seen(ghn: GHN, architectures: Iterable[Familiar]) -> Iterator[_Seen]:
    for number, given in enumerate(architectures):
        graph, name, rebuild, cells = graph_and_words(given, number, ghn.config.num_classes)
        graph = restricted(graph, ghn.config.node_types)
        with torch.no_grad():
            states = ghn.embed([graph])[0].double().cpu().numpy()
        size = parameters_in(graph)
        yield _Seen(graph, states, Exemplar(name, rebuild, cells, size, len(graph), np.zeros(1)))
