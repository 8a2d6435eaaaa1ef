"""What a checkpoint's ``config.json`` says of the architectures that its GHN was trained on, under ``familiarity``.

The object has these keys, all of which must be there but for ``calibration``:

- ``version``: 1.
- ``source``: in words, which architectures these are.
- ``architectures``: their number.
- ``mean``, ``whitening``, ``components``: of graph embeddings (`ghn_init.embed`): their mean m, and the matrix W, a row
  for each of the largest principal components, so that ``W (e - m)`` has unit variance for an embedding e; the number
  of those that count in the score, and have most of the variance.
- ``composition``: of the shares c of node types among a graph's nodes: the ``types``, the ``mean`` of c, and the
  ``whitening`` V, so that ``|V (c - mean)|`` is its Mahalanobis distance.
- ``quantiles``: 101 quantiles, from the least to the largest, of the scores (`Statistics.score`) of the architectures
  themselves, each by statistics of others.
- ``types``: by node type, how many ``nodes`` there were, the ``mean`` of their states, and the values of each dimension
  of their shapes as the GHN's encoder tells them apart (``out``, ``in``, ``height``, ``width``; empty without shapes).
- ``node_whitening``, ``node_quantiles``: as above for the states of nodes, from the mean of their type.
- ``exemplars``: some of the architectures: ``name``, how to ``rebuild`` them, ``cells`` (null where there are none),
  ``parameters``, ``nodes``, and ``place``: ``W (e - m)``.
- ``calibration``: the ``threshold`` above which predictions were found to be poor, and in words the ``rule`` and the
  ``evidence`` for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ghn_init.explain.reader import Reader
from ghn_init.explain.statistics import (
    DIMENSIONS,
    QUANTILES,
    Array,
    Calibration,
    Composition,
    Exemplar,
    Statistics,
    TypeStatistics,
)

VERSION = 1
#: Significant digits of numbers in the file.
DIGITS = 4


def to_dict(statistics: Statistics) -> dict[str, Any]:
    """As JSON types, numbers rounded; `from_dict` reads it back."""
    data: dict[str, Any] = {
        "version": VERSION,
        "source": statistics.source,
        "architectures": statistics.architectures,
        "mean": _rounded(statistics.mean),
        "whitening": _rounded(statistics.whitening),
        "components": statistics.components,
        "composition": {
            "types": list(statistics.composition.types),
            "mean": _rounded(statistics.composition.mean),
            "whitening": _rounded(statistics.composition.whitening),
        },
        "quantiles": _rounded(statistics.quantiles),
        "types": {
            name: {"nodes": own.nodes, "mean": _rounded(own.mean), **_by_dimension(own)}
            for name, own in statistics.types.items()
        },
        "node_whitening": _rounded(statistics.node_whitening),
        "node_quantiles": _rounded(statistics.node_quantiles),
        "exemplars": [dataclasses.asdict(one) | {"place": _rounded(one.place, 2)} for one in statistics.exemplars],
    }
    if statistics.calibration is not None:
        data["calibration"] = dataclasses.asdict(statistics.calibration)
    return data


def from_dict(data: Mapping[str, Any], hid: int, where: str = "config.json") -> Statistics:
    """Inverse of `to_dict`.

    Args:
        data: what a file says.
        hid: width of the GHN's states.
        where: the file's name, for error messages.

    Raises:
        CheckpointError: a key is missing, or a value is not what it must be; with its name.
    """
    read = Reader(data, f"{where}: 'familiarity'")
    version = read.whole("version")
    if version != VERSION:
        raise read.wrong("version", f"{VERSION}; a newer ghn_init wrote {version}")
    mean = read.numbers("mean", (hid,))
    whitening = read.numbers("whitening", (None, hid))
    components = read.whole("components")
    if not 0 < components <= len(whitening):
        raise read.wrong("components", f"from 1 to {len(whitening)}")
    types = {name: _type(part, hid) for name, part in read.parts("types")}
    exemplars = tuple(_exemplar(part, len(whitening)) for _, part in read.parts("exemplars"))
    calibration = None
    if "calibration" in data:
        part = read.part("calibration")
        calibration = Calibration(part.number("threshold"), part.text("rule"), part.text("evidence"))
    return Statistics(
        source=read.text("source"),
        architectures=read.whole("architectures"),
        mean=mean,
        whitening=whitening,
        components=components,
        composition=_composition(read.part("composition")),
        quantiles=read.ascending("quantiles", QUANTILES),
        types=types,
        node_whitening=read.numbers("node_whitening", (None, hid)),
        node_quantiles=read.ascending("node_quantiles", QUANTILES),
        exemplars=exemplars,
        calibration=calibration,
    )


def _type(read: Reader, hid: int) -> TypeStatistics:
    present = [name for name in DIMENSIONS if name in read.data]
    seen = tuple(tuple(int(value) for value in read.numbers(name, (None,))) for name in DIMENSIONS if present)
    return TypeStatistics(read.whole("nodes"), read.numbers("mean", (hid,)), seen)


def _composition(read: Reader) -> Composition:
    types = tuple(read.of("types", list))
    if not types or not all(type(name) is str for name in types):
        raise read.wrong("types", "a list of texts")
    size = len(types)
    return Composition(types, read.numbers("mean", (size,)), read.numbers("whitening", (size, size)))


def _exemplar(read: Reader, components: int) -> Exemplar:
    place = read.numbers("place", (components,))
    cells = None if read.data.get("cells") is None else read.whole("cells")
    return Exemplar(
        read.text("name"), read.text("rebuild"), cells, read.whole("parameters"), read.whole("nodes"), place
    )


def _by_dimension(own: TypeStatistics) -> dict[str, list[int]]:
    return {name: list(values) for name, values in zip(DIMENSIONS, own.seen, strict=False)}


def _rounded(array: Array, digits: int = DIGITS) -> Any:
    """As lists, with so many significant digits (decimal places where that is fewer)."""
    if array.ndim > 1:
        return [_rounded(row, digits) for row in array]
    return [float(f"{value:.{digits}g}") for value in array.tolist()]
