"""Stand-ins for what NumPy and joblib write in place of an array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ghn_init.checkpoints.legacy.machine import Buildable, Machine, shown
from ghn_init.checkpoints.legacy.records import ARRAY_CODES, ArrayRecord, shape_problem

_Arguments = tuple[Any, ...]


class _DType(Buildable):
    """``numpy.dtype(code, ...)``; its state holds the byte order."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def build(self, machine: Machine, state: object) -> object:
        if type(state) is not tuple or len(state) < 3 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise machine.cursor.refused("a structured or object dtype")
        return _DType(self.dtype.newbyteorder(state[1]) if state[1] in "<>" else self.dtype)


def _dtype(machine: Machine, arguments: _Arguments) -> _DType:
    code = arguments[0] if arguments else None
    if type(code) is not str or code not in ARRAY_CODES:
        raise machine.cursor.refused(f"an array of dtype {code[:20] if type(code) is str else shown(code)!r}")
    return _DType(np.dtype(code))


def _array_record(
    machine: Machine, dtype: object, shape: object, fortran: object, data: object, exact: bool = True
) -> ArrayRecord:
    """Checks the parts of an array; with `exact`, the bytes must fill the shape, otherwise they are read here."""
    if type(dtype) is not _DType:
        raise machine.cursor.refused(f"an array whose dtype is {shown(dtype)}")
    if problem := shape_problem(shape):
        raise machine.cursor.refused(f"an array with {problem}")
    assert isinstance(shape, tuple)
    size = math.prod(shape) * dtype.dtype.itemsize
    if not exact:
        data = machine.cursor.take(size)
    if type(data) is not memoryview or len(data) != size:
        raise machine.cursor.refused("an array whose bytes do not fill its shape")
    return ArrayRecord(dtype.dtype, shape, bool(fortran), data)


class _EmptyArray(Buildable):
    """An array from ``_reconstruct``, whose contents follow as its state."""

    def build(self, machine: Machine, state: object) -> object:
        if type(state) is not tuple or len(state) != 5:
            raise machine.cursor.refused("an array with an impossible state")
        _, shape, dtype, fortran, data = state
        return _array_record(machine, dtype, shape, fortran, data)


def _reconstruct(machine: Machine, arguments: _Arguments) -> _EmptyArray:
    """``_reconstruct(numpy.ndarray, (0,), b"b")``."""
    if not arguments or shown(arguments[0]) != "'numpy.ndarray'":
        raise machine.cursor.refused("an array of a class of its own")
    return _EmptyArray()


def _from_buffer(machine: Machine, arguments: _Arguments) -> ArrayRecord:
    """``_frombuffer(data, dtype, shape, order)``: protocol 5."""
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise machine.cursor.refused("an array from a buffer with impossible arguments")
    data, dtype, shape, order = arguments
    return _array_record(machine, dtype, shape, order == "F", data)


def _scalar(machine: Machine, arguments: _Arguments) -> float | int | bool:
    """``scalar(dtype, data)``: a NumPy number, as Python's own."""
    if len(arguments) != 2:
        raise machine.cursor.refused("a NumPy scalar with impossible arguments")
    record = _array_record(machine, arguments[0], (), False, arguments[1])
    value = np.frombuffer(record.data, record.dtype)[0].item()
    assert isinstance(value, (float, int))
    return value


class _Wrapper(Buildable):
    """joblib's ``NumpyArrayWrapper``: the array's bytes follow the program's current place, after some padding."""

    def build(self, machine: Machine, state: object) -> object:
        if type(state) is not dict or not machine.arrays_follow:
            raise machine.cursor.refused("a joblib array outside a joblib file")
        if shown(state.get("subclass")) not in ("'numpy.ndarray'", "'numpy.memmap'"):
            raise machine.cursor.refused("an array of a class of its own")
        if state.get("order") not in ("C", "F"):
            raise machine.cursor.refused("an array in an unknown order")
        dtype, shape = state.get("dtype"), state.get("shape")
        if state.get("numpy_array_alignment_bytes") is not None:
            machine.cursor.take(machine.cursor.unsigned(1))
        return _array_record(machine, dtype, shape, state["order"] == "F", None, exact=False)


def _wrapper(machine: Machine, arguments: _Arguments) -> _Wrapper:
    if arguments:
        raise machine.cursor.refused("a joblib array with arguments")
    return _Wrapper()


#: By global, the function that stands for it.
ARRAY_FUNCTIONS: dict[str, Callable[[Machine, _Arguments], object]] = {
    "joblib.numpy_pickle.NumpyArrayWrapper": _wrapper,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
}
