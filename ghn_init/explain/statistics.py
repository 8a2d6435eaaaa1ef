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
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghn_init.errors import CheckpointError
from ghn_init.graph import Node

Array = NDArray[np.float64]
VERSION = 1
#: Quantiles that are kept: one for each per cent.
QUANTILES = 101
#: The dimensions of a shape, in the encoder's order.
DIMENSIONS = ("out", "in", "height", "width")
#: Decimal digits of numbers in the file.
DIGITS = 4


@dataclasses.dataclass(frozen=True)
class TypeStatistics:
    """Nodes of one type.

    Attributes:
        nodes: their number.
        mean: of their states: (hid,).
        seen: the values of each of `DIMENSIONS`, in ascending order; empty for a type without shapes.
    """

    nodes: int
    mean: Array
    seen: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Composition:
    """The shares of node types in graphs.

    Attributes:
        types: node types.
        mean: mean share of each: (types,).
        whitening: (types, types).
    """

    types: tuple[str, ...]
    mean: Array
    whitening: Array

    def distance(self, nodes: Iterable[Node]) -> float:
        """Mahalanobis distance of a graph's shares."""
        return float(np.linalg.norm(self.whitening @ (shares(nodes, self.types) - self.mean)))


@dataclasses.dataclass(frozen=True)
class Exemplar:
    """One of the architectures.

    Attributes:
        name: what it is called.
        rebuild: how to get it, in Python.
        cells: number of its cells; None where it is not made of cells.
        parameters: number of its parameters.
        nodes: number of its graph's nodes.
        place: (rows of `Statistics.whitening`,): the whitened embedding.
    """

    name: str
    rebuild: str
    cells: int | None
    parameters: int
    nodes: int
    place: Array


@dataclasses.dataclass(frozen=True)
class Calibration:
    """From which score on predictions are poor.

    Attributes:
        threshold: the score.
        rule: how it was chosen.
        evidence: what it was chosen on.
    """

    threshold: float
    rule: str
    evidence: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What a GHN was trained on; the attributes are the keys that this module's docstring explains."""

    source: str
    architectures: int
    mean: Array
    whitening: Array
    components: int
    composition: Composition
    quantiles: Array
    types: Mapping[str, TypeStatistics]
    node_whitening: Array
    node_quantiles: Array
    exemplars: tuple[Exemplar, ...]
    calibration: Calibration | None = None

    def place(self, embedding: Array) -> Array:
        """The whitened embedding: its principal components, each with mean 0 and variance 1 in training."""
        return np.asarray(self.whitening @ (embedding - self.mean))

    def score(self, embedding: Array, nodes: Iterable[Node]) -> float:
        """How far a graph is from those trained on: around 1 for these, 0 in their middle.

        The root of the mean of two squared Mahalanobis distances, each divided by its number of dimensions: that of the
        graph's embedding, in the components that count, and that of the shares of node types.

        Args:
            embedding: (hid,): the mean of the nodes' states.
            nodes: of the graph.
        """
        components = self.place(embedding)[: self.components]
        dimensions = max(1, len(self.types) - 1)  # shares have a sum of 1
        squares = (float(components @ components) / self.components, self.composition.distance(nodes) ** 2 / dimensions)
        return math.sqrt(sum(squares) / 2)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, numbers rounded; `from_dict` reads it back."""
        data: dict[str, Any] = {
            "version": VERSION,
            "source": self.source,
            "architectures": self.architectures,
            "mean": _rounded(self.mean),
            "whitening": _rounded(self.whitening),
            "components": self.components,
            "composition": {
                "types": list(self.composition.types),
                "mean": _rounded(self.composition.mean),
                "whitening": _rounded(self.composition.whitening),
            },
            "quantiles": _rounded(self.quantiles),
            "types": {
                name: {"nodes": own.nodes, "mean": _rounded(own.mean), **_by_dimension(own)}
                for name, own in self.types.items()
            },
            "node_whitening": _rounded(self.node_whitening),
            "node_quantiles": _rounded(self.node_quantiles),
            "exemplars": [dataclasses.asdict(one) | {"place": _rounded(one.place, 2)} for one in self.exemplars],
        }
        if self.calibration is not None:
            data["calibration"] = dataclasses.asdict(self.calibration)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], hid: int, where: str = "config.json") -> Statistics:
        """Inverse of `to_dict`.

        Args:
            data: what a file says.
            hid: width of the GHN's states.
            where: the file's name, for error messages.

        Raises:
            CheckpointError: a key is missing, or a value is not what it must be; with its name.
        """
        read = _Reader(data, f"{where}: 'familiarity'")
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
        return cls(
            source=read.text("source"),
            architectures=read.whole("architectures"),
            mean=mean,
            whitening=whitening,
            components=components,
            composition=_composition(read.part("composition")),
            quantiles=read.ascending("quantiles"),
            types=types,
            node_whitening=read.numbers("node_whitening", (None, hid)),
            node_quantiles=read.ascending("node_quantiles"),
            exemplars=exemplars,
            calibration=calibration,
        )


def _type(read: _Reader, hid: int) -> TypeStatistics:
    present = [name for name in DIMENSIONS if name in read.data]
    seen = tuple(tuple(int(value) for value in read.numbers(name, (None,))) for name in DIMENSIONS if present)
    return TypeStatistics(read.whole("nodes"), read.numbers("mean", (hid,)), seen)


def _composition(read: _Reader) -> Composition:
    types = tuple(read.of("types", list))
    if not types or not all(type(name) is str for name in types):
        raise read.wrong("types", "a list of texts")
    size = len(types)
    return Composition(types, read.numbers("mean", (size,)), read.numbers("whitening", (size, size)))


def _exemplar(read: _Reader, components: int) -> Exemplar:
    place = read.numbers("place", (components,))
    cells = None if read.data.get("cells") is None else read.whole("cells")
    return Exemplar(
        read.text("name"), read.text("rebuild"), cells, read.whole("parameters"), read.whole("nodes"), place
    )


class _Reader:
    """Takes values out of an object and says which is not what it must be."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where

    def wrong(self, key: str, wanted: str) -> CheckpointError:
        return CheckpointError(f"{self.where}: {key!r} must be {wanted}; fit the statistics anew.")

    def of(self, key: str, kind: type) -> Any:
        value = self.data.get(key)
        if type(value) is not kind:
            raise self.wrong(key, f"there, of type {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        return str(self.of(key, str))

    def whole(self, key: str) -> int:
        value = self.of(key, int)
        if value < 0:
            raise self.wrong(key, "a whole number")
        return int(value)

    def number(self, key: str) -> float:
        value: Any = self.data.get(key)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.wrong(key, "a number")
        return float(value)

    def numbers(self, key: str, shape: tuple[int | None, ...]) -> Array:
        """An array of finite numbers; None stands for any length but 0."""
        wanted = f"numbers, {' x '.join('n' if size is None else str(size) for size in shape)}"
        try:
            array = np.array(self.of(key, list))
        except ValueError as error:  # lists of several lengths
            raise self.wrong(key, wanted) from error
        # texts and truth values would be converted without a word
        fits = array.dtype.kind in "iuf" and len(array.shape) == len(shape) and array.size > 0
        if not fits or any(size not in (None, own) for own, size in zip(array.shape, shape, strict=True)):
            raise self.wrong(key, wanted)
        if not np.isfinite(array).all():
            raise self.wrong(key, "finite numbers")
        return array.astype(np.float64)

    def ascending(self, key: str) -> Array:
        array = self.numbers(key, (QUANTILES,))
        if (np.diff(array) < 0).any():
            raise self.wrong(key, "numbers in ascending order")
        return array

    def part(self, key: str) -> _Reader:
        return _Reader(self.of(key, dict), f"{self.where}, {key!r}")

    def parts(self, key: str) -> Sequence[tuple[str, _Reader]]:
        """The members of an object or a list, which must be objects."""
        value = self.data.get(key)
        if not isinstance(value, (dict, list)) or not value:
            raise self.wrong(key, "there, and not empty")
        members = list(value.items() if isinstance(value, dict) else enumerate(value))
        for name, part in members:
            if not isinstance(part, dict):
                raise self.wrong(key, f"objects, which {name} is not")
        return [(str(name), _Reader(part, f"{self.where}, {key} {name}")) for name, part in members]


def shares(nodes: Iterable[Node], types: Sequence[str]) -> Array:
    """The share of each type among nodes."""
    counts = Counter(node.type for node in nodes)
    return np.array([counts[name] for name in types], dtype=np.float64) / max(1, counts.total())


def _by_dimension(own: TypeStatistics) -> dict[str, list[int]]:
    return {name: list(values) for name, values in zip(DIMENSIONS, own.seen, strict=False)}


def _rounded(array: Array, digits: int = DIGITS) -> Any:
    """As lists, with so many significant digits (decimal places where that is fewer)."""
    if array.ndim > 1:
        return [_rounded(row, digits) for row in array]
    return [float(f"{value:.{digits}g}") for value in array.tolist()]
