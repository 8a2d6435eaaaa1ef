"""Objects of any kind written down as plain words: what is written alike is alike."""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

#: What is written as it is.
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
#: More than any network has; what holds so much else is not worth a description.
_MOST_WORDS = 2_000_000
#: Entries of a class that say nothing about what its instances do, or change while another thread traces.
_NO_BEHAVIOUR = frozenset({"_abc_impl", "__dict__", "__weakref__"})
_PATCHED_BY_TRACES = frozenset({"__call__", "__getattr__"})


#: The mark after things of which there may be any number.
END = ["end"]


class NoDescriptionError(Exception):
    """There is no telling what an object consists of."""


class Description:
    """Plain values by value, containers and instances by what they hold, classes and code by identity.

    Everything is numbered as it first comes up and referred to by its number after that, so that it shows which
    objects are one and the same.

    Attributes:
        words: atoms, tuples of atoms, and lists, which are marks; with `marshal`, unambiguous bytes.
        objects: what counts by identity, in order. Kept alive, their addresses stay theirs.
    """

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.objects: list[object] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []
        self._classes: dict[type, int] = {}
        self._no_values: set[int] = set()
        self._kinds: dict[tuple[torch.dtype, torch.device], str] = {}

    def without_values(self, tensors: Iterable[Any]) -> None:
        """Says that only shapes and the like matter of these tensors."""
        self._no_values.update(id(tensor) for tensor in tensors if isinstance(tensor, Tensor))

    def put(self, value: Any) -> None:
        """Describes a value.

        Raises:
            NoDescriptionError: of its kind, or part of it, nothing certain can be said.
        """
        kind, words = type(value), self.words
        if kind in ATOMS:
            words.append(value)
            return
        if kind is tuple and all(type(item) in ATOMS for item in value):
            words.append(value)
            return
        number = self._numbers.setdefault(id(value), len(self._numbers))
        if number < len(self._alive):
            words.append(["again", number])
            return
        self._alive.append(value)
        if len(words) > _MOST_WORDS:
            raise NoDescriptionError("too much")
        writer = _WRITERS.get(kind)
        if writer is not None:
            writer(self, value)
        elif isinstance(value, nn.Module):
            self.put_module(value)
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, (type, enum.Enum, types.ModuleType)):
            words.append(["itself"])
            self.objects.append(value)
        else:
            self._instance(value)

    def put_module(self, module: nn.Module) -> None:
        """Describes a module."""
        self._instance(module)

    def put_class(self, cls: type) -> None:
        """Describes a class with all that it and its ancestors define, so that a replaced method shows."""
        number = self._classes.get(cls)
        if number is not None:
            self.words.append(["class", number])
            return
        for base in cls.__mro__:
            known = len(self._classes)
            number = self._classes.setdefault(base, known)
            self.words.append(["class", number])
            if number < known:
                continue
            self.objects.append(base)
            if base is object:
                continue
            for name, value in list(vars(base).items()):
                if name in _NO_BEHAVIOUR or (base is nn.Module and name in _PATCHED_BY_TRACES):
                    continue
                if type(value) is types.FunctionType and value.__closure__:
                    self.words.append(name)
                    self.put(value)
                elif hasattr(value, "__get__") or isinstance(value, type):
                    self.words.append(name)
                    self.objects.append(value)
                elif not name.startswith("__"):
                    self.words.append(name)
                    self.put(value)
            self.words.append(END)

    def _items(self, mark: str, items: Iterable[Any]) -> None:
        self.words.append([mark])
        for item in items:
            self.put(item)
        self.words.append(END)

    def _dict(self, value: dict[Any, Any]) -> None:
        self._items("dict", (part for item in value.items() for part in item))

    def _set(self, value: Iterable[Any]) -> None:
        if not all(type(item) in ATOMS for item in value):
            raise NoDescriptionError("a set has no order")
        self._items(type(value).__name__, sorted(value, key=lambda item: (type(item).__name__, repr(item))))

    def _tensor(self, tensor: Tensor) -> None:
        try:
            layout = tensor.stride() if tensor.layout is torch.strided else (str(tensor.layout),)
            kind = self._kind_of_tensor(tensor.dtype, tensor.device)
            self.words += (["tensor"], tuple(tensor.shape), layout, kind, tensor.requires_grad)
            if type(tensor) not in (Tensor, nn.Parameter):
                self.put_class(type(tensor))
            if not tensor.is_meta and id(tensor) not in self._no_values:
                values = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
                self.words.append(hashlib.blake2b(values.numpy().data, digest_size=32).digest())
        except (RuntimeError, TypeError) as error:
            raise NoDescriptionError(f"a tensor of type {type(tensor).__name__}") from error

    def _kind_of_tensor(self, dtype: torch.dtype, device: torch.device) -> str:
        kind = self._kinds.get((dtype, device))
        if kind is None:
            kind = self._kinds[dtype, device] = f"{dtype} {device}"
        return kind

    def _function(self, function: types.FunctionType) -> None:
        self.words.append(["function"])
        self.objects += (function.__code__, function.__globals__)
        self.put(function.__defaults__)
        self.put(function.__kwdefaults__)
        self.put(function.__dict__)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                self.words.append(["empty"])
            else:
                self.put(content)
        self.words.append(END)

    def _method(self, method: types.MethodType) -> None:
        self._items("method", (method.__func__, method.__self__))

    def _builtin(self, function: types.BuiltinFunctionType) -> None:
        owner = function.__self__
        if owner is not None and not isinstance(owner, (type, types.ModuleType)):
            raise NoDescriptionError(f"a method of a {type(owner).__name__}")
        self._itself(function)

    def _itself(self, value: object) -> None:
        self.words.append(["itself"])
        self.objects.append(value)

    def _by_name(self, value: object) -> None:
        self.words.append([type(value).__name__, str(value)])

    def _partial(self, value: functools.partial[Any]) -> None:
        self._items("partial", (value.func, value.args, value.keywords))

    def _lru_cache(self, value: functools._lru_cache_wrapper[Any]) -> None:
        """Not what it keeps: results follow from the function."""
        self._items("lru_cache", (value.__wrapped__, value.__dict__))

    def _reference(self, value: weakref.ReferenceType[Any]) -> None:
        """Recurrent layers refer so to their weights; of what may be gone by the next call nothing is certain."""
        if not isinstance(value(), Tensor):
            raise NoDescriptionError("a weak reference")
        self._items("reference", (value(),))

    def _slice(self, value: slice) -> None:
        self._items("slice", (value.start, value.stop, value.step))

    def _instance(self, value: Any) -> None:
        """An instance of any other class consists of what pickling it takes, and of its attributes."""
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            reduced = reduce(value) if reduce is not None else value.__reduce_ex__(2)
        except Exception as error:  # any class may refuse in its own way
            raise NoDescriptionError(f"a {type(value).__name__}") from error
        if isinstance(reduced, str):
            self._itself(value)
            return
        self.words.append(["instance"])
        self.put_class(type(value))
        maker, arguments, *rest = reduced
        for part in (maker, arguments, *rest):
            if hasattr(part, "__next__"):
                self._items("iterator", part)
            else:
                self.put(part)
        attributes = getattr(value, "__dict__", None)
        if attributes is not None and not (rest and rest[0] is attributes):
            self.put(attributes)
        self.words.append(END)


_WRITERS: dict[type, Callable[[Any, Any], None]] = {
    tuple: lambda to, value: to._items("tuple", value),
    list: lambda to, value: to._items("list", value),
    dict: Description._dict,
    set: Description._set,
    frozenset: Description._set,
    slice: Description._slice,
    types.FunctionType: Description._function,
    types.MethodType: Description._method,
    types.BuiltinFunctionType: Description._builtin,
    functools.partial: Description._partial,
    weakref.ReferenceType: Description._reference,
    type(functools.lru_cache(len)): Description._lru_cache,
    **dict.fromkeys((torch.dtype, torch.device, torch.layout, torch.memory_format), Description._by_name),
    **dict.fromkeys((type(...), type(NotImplemented), types.CodeType), Description._itself),
    **dict.fromkeys((type(torch.Tensor.add), type(int.__add__), type(torch.Tensor.shape)), Description._itself),
    **dict.fromkeys((Tensor, nn.Parameter), Description._tensor),
}
