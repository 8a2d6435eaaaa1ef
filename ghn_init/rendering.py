"""What rich prints, as plain text."""

from __future__ import annotations

from rich.console import Console, RenderableType

_WIDTH = 120


def as_text(renderable: RenderableType) -> str:
    """The lines that rich would print on a terminal of 120 columns without colours."""
    console = Console(width=_WIDTH, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().rstrip()
