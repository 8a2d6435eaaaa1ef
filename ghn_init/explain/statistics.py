"""What a checkpoint's ``config.json`` says of the architectures that its GHN was trained on, under ``familiarity``.

The object has these keys, all of which must be there but for ``calibration``:

- ``version``: 1.
- ``source``: in words, which architectures these are.
- ``architectures``: their number.
- ``mean``, ``whitening``: of graph embeddings (`ghn_init.embed`): their mean m, and the matrix W, a row for each of the
  largest principal components, so that ``|W (e - m)|`` is the Mahalanobis distance of an embedding e.
- ``quantiles``: 101 quantiles, from the least to the largest, of these distances among the architectures themselves,
  each measured with statistics of others.
- ``types``: by node type, how many ``nodes`` there were, the ``mean`` of their states, and the values of each dimension
  of their shapes as the GHN's encoder tells them apart (``out``, ``in``, ``height``, ``width``; empty without shapes).
- ``node_whitening``, ``node_quantiles``: as above for the states of nodes, from the mean of their type.
- ``exemplars``: some of the architectures: ``name``, how to ``rebuild`` them, ``cells`` (null where there are none),
  ``parameters``, ``nodes``, and ``place``: the first elements of ``W (e - m)``.
- ``calibration``: the ``threshold`` above which predictions were found to be poor, and in words the ``rule`` and the
  ``evidence`` for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghn_init.errors import CheckpointError

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
class Exemplar:
    """One of the architectures.

    Attributes:
        name: what it is called.
        rebuild: how to get it, in Python.
        cells: number of its cells; None where it is not made of cells.
        parameters: number of its parameters.
        nodes: number of its graph's nodes.
        place: (components,): the first elements of the whitened embedding.
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
    quantiles: Array
    types: Mapping[str, TypeStatistics]
    node_whitening: Array
    node_quantiles: Array
    exemplars: tuple[Exemplar, ...]
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, numbers rounded; `from_dict` reads it back."""
        data: dict[str, Any] = {
            "version": VERSION,
            "source": self.source,
            "architectures": self.architectures,
            "mean": _rounded(self.mean),
            "whitening": _rounded(self.whitening),
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
        components = len(whitening)
        types = {name: _type(part, hid) for name, part in read.parts("types")}
        exemplars = tuple(_exemplar(part, components) for _, part in read.parts("exemplars"))
        if len({len(one.place) for one in exemplars}) > 1:
            raise read.wrong("exemplars", "a list of objects whose 'place' is of one length")
        calibration = None
        if "calibration" in data:
            part = _Reader(read.of("calibration", dict), f"{read.where}, 'calibration'")
            calibration = Calibration(part.number("threshold"), part.text("rule"), part.text("evidence"))
        return cls(
            source=read.text("source"),
            architectures=read.whole("architectures"),
            mean=mean,
            whitening=whitening,
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


def _exemplar(read: _Reader, components: int) -> Exemplar:
    place = read.numbers("place", (None,))
    if len(place) > components:
        raise read.wrong("place", f"a list of at most {components} numbers")
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


def _by_dimension(own: TypeStatistics) -> dict[str, list[int]]:
    return {name: list(values) for name, values in zip(DIMENSIONS, own.seen, strict=False)}


def _rounded(array: Array, digits: int = DIGITS) -> Any:
    """As lists, with so many significant digits (decimal places where that is fewer)."""
    if array.ndim > 1:
        return [_rounded(row, digits) for row in array]
    return [float(f"{value:.{digits}g}") for value in array.tolist()]
