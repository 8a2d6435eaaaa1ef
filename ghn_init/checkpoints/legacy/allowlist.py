"""The allow-list: each global that a checkpoint may refer to, and the inert thing that stands for it.

None of them imports, calls or looks up what it is named after. Each checks its arguments and describes a tensor, an
array or a plain value; whatever is not in `STANDINS` is refused by name.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ghn_init.checkpoints.legacy.arrays import ARRAY_FUNCTIONS
from ghn_init.checkpoints.legacy.machine import Buildable, Machine, Standin, shown
from ghn_init.checkpoints.legacy.records import (
    STORAGE_DTYPES,
    Settings,
    Storage,
    TensorRecord,
    is_count,
    shape_problem,
    window_problem,
)

_Arguments = tuple[Any, ...]


def _tensor(machine: Machine, arguments: _Arguments) -> TensorRecord:
    """``_rebuild_tensor(storage, offset, size, stride)``, and the same with trailing flags that do not matter here."""
    if not 4 <= len(arguments) <= 7:
        raise machine.cursor.refused(f"a tensor made from {len(arguments)} arguments")
    storage, offset, shape, stride = arguments[:4]
    if type(storage) is not Storage:
        raise machine.cursor.refused(f"a tensor whose storage is {shown(storage)}")
    for sizes in (shape, stride):
        if problem := shape_problem(sizes):
            raise machine.cursor.refused(f"a tensor with {problem}")
    if not is_count(offset) or len(stride) != len(shape):
        raise machine.cursor.refused("a tensor with an impossible offset or number of strides")
    if problem := window_problem(storage, offset, shape, stride):
        raise machine.cursor.refused(problem)
    return TensorRecord(storage, offset, shape, stride)


def _parameter(machine: Machine, arguments: _Arguments) -> TensorRecord:
    """``_rebuild_parameter(tensor, requires_grad, hooks)``."""
    if not arguments or type(arguments[0]) is not TensorRecord:
        raise machine.cursor.refused("a parameter that is not made from a tensor")
    return arguments[0]


def _ordered_dict(machine: Machine, arguments: _Arguments) -> OrderedDict[str, Any]:
    """``OrderedDict()``; with a list of pairs as old protocols write it, the pairs."""
    result: OrderedDict[str, Any] = OrderedDict()
    pairs = arguments[0] if len(arguments) == 1 and type(arguments[0]) is list else arguments
    machine.budget.spend(machine.cursor, len(pairs))
    for pair in pairs:
        if type(pair) not in (tuple, list) or len(pair) != 2 or type(pair[0]) is not str:
            raise machine.cursor.refused("an ordered dict that is not made from pairs of a string and a value")
        if pair[0] in result:
            raise machine.cursor.damaged(f"the key {pair[0][:80]!r} occurs twice in a dict")
        result[pair[0]] = pair[1]
    return result


def _encoded(machine: Machine, arguments: _Arguments) -> memoryview:
    """``_codecs.encode(text, "latin1")``: how protocols 0 to 2 write bytes."""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] not in ("latin1", "latin-1"):
        raise machine.cursor.refused("an encoding other than that of bytes as latin1")
    machine.budget.copy(machine.cursor, len(arguments[0]))
    try:
        return memoryview(arguments[0].encode("latin1"))
    except UnicodeEncodeError as error:
        raise machine.cursor.damaged("bytes that are not latin1") from error


def _empty_bytes(machine: Machine, arguments: _Arguments) -> memoryview:
    """``bytes()``: how protocols 0 to 2 write no bytes at all."""
    if arguments:
        raise machine.cursor.refused("bytes made from something else")
    return memoryview(b"")


def _size(machine: Machine, arguments: _Arguments) -> tuple[int, ...]:
    """``torch.Size(sizes)``."""
    sizes = arguments[0] if len(arguments) == 1 and type(arguments[0]) in (tuple, list) else arguments
    machine.budget.spend(machine.cursor, len(sizes))
    sizes = tuple(sizes)
    if problem := shape_problem(sizes):
        raise machine.cursor.refused(problem)
    return sizes


def _device(machine: Machine, arguments: _Arguments) -> str:
    """``torch.device(name, index)``, as its name."""
    if not arguments or type(arguments[0]) is not str:
        raise machine.cursor.refused("a device without a name")
    return arguments[0]


class _Namespace(Buildable, Settings):
    def build(self, machine: Machine, state: object) -> object:
        if type(state) is not dict:
            raise machine.cursor.refused(f"an argparse.Namespace with a state of type {shown(state)}")
        machine.budget.spend(machine.cursor, len(state))
        return Settings(state)


def _namespace(machine: Machine, arguments: _Arguments) -> _Namespace:
    """``argparse.Namespace``: training scripts save their options so."""
    if arguments:
        raise machine.cursor.refused("an argparse.Namespace with arguments")
    return _Namespace()


def _copyreg(machine: Machine, arguments: _Arguments) -> object:
    """``copyreg._reconstructor(cls, object, None)``: how protocols 0 and 1 make an instance without arguments."""
    if len(arguments) != 3 or shown(arguments[1]) not in _OBJECT or arguments[2] is not None:
        raise machine.cursor.refused("an instance that does not come from object")
    return machine.call(arguments[0], ())


_OBJECT = ("'builtins.object'", "'__builtin__.object'")

_FUNCTIONS = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered_dict,
    "_codecs.encode": _encoded,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
    "argparse.Namespace": _namespace,
    "copyreg._reconstructor": _copyreg,
    "copy_reg._reconstructor": _copyreg,
    **ARRAY_FUNCTIONS,
}

#: Only referred to, never called: classes as arguments, and the types of storages and tensors.
_NAMES: dict[str, object] = {
    "builtins.object": None,
    "__builtin__.object": None,
    "numpy.ndarray": None,
    "numpy.memmap": None,
    **STORAGE_DTYPES,
}

#: By name, what stands for every global that a checkpoint may refer to.
STANDINS: dict[str, Standin] = {
    **{name: Standin(name, call=call) for name, call in _FUNCTIONS.items()},
    **{name: Standin(name, value=value) for name, value in _NAMES.items()},
}
