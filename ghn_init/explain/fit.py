"""Statistics of the architectures that a GHN was trained on, for its ``config.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ghn_init.explain.described import Familiar, graph_and_words, parameters_in
from ghn_init.explain.shapes import known_shape
from ghn_init.explain.statistics import QUANTILES, Array, Composition, Exemplar, Statistics, TypeStatistics, shares
from ghn_init.explain.stored import to_dict
from ghn_init.graph import ArchGraph, restricted
from ghn_init.hypernet import GHN
from ghn_init.images.optional import needed

#: Principal components of graph embeddings that are kept, to tell which architectures are near each other.
PLACE = 16
#: The share of the variance that those have that count in the score: smaller ones were found to say less of accuracy.
COUNTING = 0.9
#: Components with less than this share of the first one's variance are rounding: a layer norm makes one of them.
NEGLIGIBLE = 1e-6
#: Principal components of the states of nodes, at most: a config.json is no place for large matrices.
COMPONENTS = 64
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
    return to_dict(statistics_of(ghn, found, source, exemplars))


def statistics_of(ghn: GHN, found: Sequence[_Seen], source: str, exemplars: int) -> Statistics:
    """`fit_familiarity`, before rounding."""
    embeddings, mixtures = _embeddings(found), _mixtures(found, ghn.config.node_types)
    names = np.array([node.type for one in found for node in one.graph.nodes])
    states = np.concatenate([one.states for one in found])
    types, centred = {}, np.empty_like(states)
    for name in sorted(set(names.tolist())):
        own = names == name
        centre = states[own].mean(axis=0)
        centred[own] = states[own] - centre
        types[name] = TypeStatistics(int(own.sum()), centre, _values_seen(name, found, ghn))
    node_whitening = whitened(centred)[:COMPONENTS]
    whole = Statistics(
        source=source,
        architectures=len(found),
        **_of_graphs(embeddings, mixtures, ghn.config.node_types),
        quantiles=np.zeros(QUANTILES),
        types=types,
        node_whitening=node_whitening,
        node_quantiles=_quantiles(np.linalg.norm(centred @ node_whitening.T, axis=1)),
        exemplars=(),
    )
    kept = [
        dataclasses.replace(one.exemplar, place=whole.place(own)) for one, own in zip(found, embeddings, strict=True)
    ]
    scores = np.empty(len(found))
    fold = np.arange(len(found)) % FOLDS
    for part in range(FOLDS):
        others = fold != part
        partly = dataclasses.replace(whole, **_of_graphs(embeddings[others], mixtures[others], ghn.config.node_types))
        for index in np.flatnonzero(~others).tolist():
            scores[index] = partly.score(embeddings[index], found[index].graph.nodes)
    return dataclasses.replace(whole, quantiles=_quantiles(scores), exemplars=tuple(kept[:exemplars]))


def _of_graphs(embeddings: Array, mixtures: Array, types: Sequence[str]) -> dict[str, Any]:
    """The statistics of graphs as wholes: keywords of `Statistics`."""
    from sklearn.decomposition import PCA

    fitted = PCA(n_components=min(PLACE, *embeddings.shape), svd_solver="full").fit(embeddings)
    variances = fitted.explained_variance_
    kept = max(1, int((variances > NEGLIGIBLE * variances[0]).sum()))
    deviations = np.sqrt(np.maximum(variances[:kept], np.finfo(np.float32).tiny))
    components = _signed(fitted.components_[:kept]) / deviations[:, None]
    counting = int(np.searchsorted(np.cumsum(fitted.explained_variance_ratio_), COUNTING)) + 1
    return {
        "mean": fitted.mean_,
        "whitening": components,
        "components": min(counting, len(components)),
        "composition": Composition(tuple(types), mixtures.mean(axis=0), whitened(mixtures)),
    }


def whitened(rows: Array) -> Array:
    """(columns, columns): W with W C W^T = 1 for the shrunk covariance C of rows (Ledoit & Wolf, 2004).

    Components have descending variance. Rows that are all equal in some direction are given a tiny variance there.
    """
    from sklearn.covariance import LedoitWolf

    values, vectors = np.linalg.eigh(LedoitWolf().fit(rows).covariance_)
    return np.asarray(
        _signed(vectors[:, ::-1].T) / np.sqrt(np.maximum(values[::-1], np.finfo(np.float32).tiny))[:, None]
    )


def _signed(components: Array) -> Array:
    """The rows with a sign that does not depend on how they were computed: the largest element of each is positive."""
    largest = np.abs(components).argmax(axis=1)
    return np.asarray(components * np.sign(components[np.arange(len(components)), largest])[:, None])


def _embeddings(found: Sequence[_Seen]) -> Array:
    return np.stack([one.states.mean(axis=0) for one in found])


def _mixtures(found: Sequence[_Seen], types: Sequence[str]) -> Array:
    return np.stack([shares(one.graph.nodes, types) for one in found])


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
