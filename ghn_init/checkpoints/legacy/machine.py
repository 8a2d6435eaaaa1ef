"""The state of a pickle program that can build data and nothing else.

Python's own unpickler imports what a file names and calls it. This machine imports nothing: a global is looked up in a
table of stand-ins (`ghn_init.checkpoints.legacy.allowlist`), and one that is not there ends the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ghn_init.checkpoints.legacy.source import Cursor

#: More than any GHN needs by a factor of ten: the largest published one takes about 20,000 with its optimizer.
MAX_OPERATIONS = 500_000
_MAX_SHOWN = 80


class Budget:
    """What is left to a file, all its nested pickles together; a pickle may use one value any number of times.

    Args:
        size: bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.operations = MAX_OPERATIONS
        self.copies = 2 * size

    def spend(self, cursor: Cursor, operations: int = 1) -> None:
        """Counts operations.

        Raises:
            UnsafeCheckpointError: none is left.
        """
        self.operations -= operations
        if self.operations < 0:
            raise cursor.refused(f"a pickle of more than {MAX_OPERATIONS} operations")

    def copy(self, cursor: Cursor, size: int) -> None:
        """Counts bytes that are about to be copied.

        Raises:
            UnsafeCheckpointError: the file copies more than its own size, twice.
        """
        self.copies -= size
        if self.copies < 0:
            raise cursor.refused("a pickle that copies the same bytes again and again")


class Standin:
    """What stands for a global that a file names.

    Args:
        name: the global's name, for error messages.
        call: what calling it builds, from the machine and the arguments; None for one that is only referred to.
        value: what it means where it is only referred to.
    """

    def __init__(
        self, name: str, call: Callable[[Machine, tuple[Any, ...]], object] | None = None, value: object = None
    ) -> None:
        self.name = name
        self.call = call
        self.value = value


class Buildable:
    """An object that a file completes in a second step (pickle's BUILD)."""

    def build(self, machine: Machine, state: object) -> object:
        """Takes the state in; returns what then stands for the object."""
        raise machine.cursor.refused(f"a state of type {type(state).__name__} for {type(self).__name__}")


class Machine:
    """The stack, marks and memo of one program, which `ghn_init.checkpoints.legacy.opcodes.run` runs.

    Args:
        cursor: where the program is read from.
        standins: by name, every global that the program may refer to.
        budget: operations left.
        persistent: what a persistent id stands for; None where there can be none.
        arrays_follow: whether raw array bytes may follow a joblib wrapper inside the program.
    """

    def __init__(
        self,
        cursor: Cursor,
        standins: Mapping[str, Standin],
        budget: Budget,
        persistent: Callable[[Machine, object], object] | None = None,
        arrays_follow: bool = False,
    ) -> None:
        self.cursor = cursor
        self.standins = standins
        self.budget = budget
        self.persistent = persistent
        self.arrays_follow = arrays_follow
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: object) -> None:
        """Puts a value on the stack."""
        self.stack.append(value)

    def drop(self, value: object) -> None:
        """Forgets a value that was read only to get past it."""

    def pop(self) -> Any:
        """Takes the topmost value since the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.cursor.damaged("the pickle takes more from its stack than it put there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Takes every value since the last mark, and the mark."""
        if not self.marks:
            raise self.cursor.damaged("the pickle refers to a mark that it did not set")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_exactly(self, kind: type, what: str) -> Any:
        """Takes the topmost value, which must be of one type and no subclass."""
        value = self.pop()
        if type(value) is not kind:
            raise self.cursor.refused(f"{what} of type {shown(value)}")
        return value

    def top(self) -> Any:
        """The topmost value, which stays."""
        value = self.pop()
        self.push(value)
        return value

    def text(self, data: memoryview, encoding: str = "utf-8") -> str:
        """Decodes a string."""
        try:
            return str(data, encoding)
        except UnicodeDecodeError as error:
            raise self.cursor.damaged(f"a string is not {encoding}") from error

    def find(self, module: str, name: str) -> Standin:
        """The stand-in of a global."""
        full = f"{module}.{name}"
        standin = self.standins.get(full)
        if standin is None:
            short = full if len(full) <= _MAX_SHOWN else full[:_MAX_SHOWN] + "..."
            raise self.cursor.refused(
                f"the global {short!r}, which has no place in a checkpoint of tensors and numbers"
            )
        return standin

    def call(self, function: object, arguments: object) -> object:
        """What a stand-in builds from its arguments."""
        if not isinstance(function, Standin) or function.call is None:
            raise self.cursor.refused(f"a call of {shown(function)}")
        if type(arguments) is not tuple:
            raise self.cursor.refused(f"a call of {shown(function)} with {shown(arguments)} for its arguments")
        return function.call(self, arguments)


def shown(value: object) -> str:
    """What a value is, for an error message: a global's name, or a type's; never the value itself."""
    return repr(value.name) if isinstance(value, Standin) else type(value).__name__
