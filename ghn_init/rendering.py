"""How results look: as plain text, in a terminal, and as HTML in a notebook.

Names come from users' modules and from files. `inert`, `line` and `plain_table` show them as they are: what looks like
rich's markup, an emoji's code, HTML or a terminal's control sequence has no effect.
"""

from __future__ import annotations

import abc
import io
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.terminal_theme import TerminalTheme
from rich.text import Text

_WIDTH = 120
#: Categories of characters that steer a terminal, change the direction of a text or break its lines.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: A terminal's colours from black to white, all of a luminance of 0.18, which reads well on white and on black.
_GREY = (0x76, 0x76, 0x76)
_COLOURS = [
    _GREY,
    (0xE1, 0x2C, 0x2C),
    (0x14, 0x89, 0x27),
    (0x9E, 0x6C, 0x08),
    (0x1F, 0x72, 0xE6),
    (0xCA, 0x32, 0xB1),
    (0x07, 0x82, 0x8D),
    _GREY,
]
# of foreground and background rich makes dimmed text, which so becomes grey
_THEME = TerminalTheme(background=_GREY, foreground=_GREY, normal=_COLOURS)
_HTML = (
    "<pre style=\"white-space:pre;overflow-x:auto;line-height:normal;font-family:Menlo,'DejaVu Sans Mono',consolas,"
    "'Courier New',monospace\">{code}</pre>"
)


def as_text(renderable: RenderableType) -> str:
    """The lines that rich would print on a terminal of 120 columns without colours."""
    # in a notebook rich would otherwise display what it captured, too
    console = Console(width=_WIDTH, color_system=None, highlight=False, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().rstrip()


def as_html(renderable: RenderableType) -> str:
    """The same lines as HTML: one ``pre`` with inline styles, whose colours suit light and dark pages."""
    console = Console(
        width=_WIDTH, file=io.StringIO(), record=True, highlight=False, force_terminal=False, force_jupyter=False
    )
    console.print(renderable)
    return console.export_html(theme=_THEME, inline_styles=True, code_format=_HTML).replace("\n</pre>", "</pre>")


class Rendered(abc.ABC):
    """A result that prints as a text, and that notebooks show as HTML.

    A class that inherits says what there is to see in ``__rich_console__``, with `line`, `inert` and `plain_table` for
    what it did not make up itself.
    """

    __slots__ = ()

    @abc.abstractmethod
    def __rich_console__(self, console: Console, options: Any) -> Any:
        """Yields the parts of the result, as rich's protocol has it."""

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What IPython shows: without this, a text that is the class's own ``repr``."""
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def visible(text: object) -> str:
    """``str(text)`` with characters that steer a terminal or the direction of text as escapes; line ends stay."""
    return "".join(
        character.encode("unicode_escape").decode()
        if character != "\n" and unicodedata.category(character) in _STEERING
        else character
        for character in str(text)
    )


def inert(text: object, style: str = "") -> Text:
    """A text that rich shows as it is."""
    return Text(visible(text), style=style)


def line(*parts: object | tuple[object, str]) -> Text:
    """Parts put together as they are; a pair is a part with its style."""
    made = Text()
    for part in parts:
        made.append_text(inert(*part) if isinstance(part, tuple) else inert(part))
    return made


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table; the columns named in `right` are aligned to the right. Cells of foreign text are to be `inert`."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def apart(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """The parts with an empty line between them."""
    for number, part in enumerate(parts):
        if number:
            yield ""
        yield part


_UNITS = {"GB": 10**9, "MB": 10**6, "kB": 10**3, "bytes": 1}


def size_text(size: int | None, exact: bool = True) -> str:
    """A number of bytes for people."""
    if size is None:
        return "?"
    unit, value, one = next((unit, size / one, one) for unit, one in _UNITS.items() if size >= one or one == 1)
    return f"{'' if exact else '~'}{value:.{0 if one == 1 or value >= 10 else 1}f} {unit}"
