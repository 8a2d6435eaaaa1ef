"""What goes wrong when a network is drawn, and libraries that only drawing needs."""

from __future__ import annotations

import importlib
from typing import Any

from ghn_init.errors import GHNInitError


class DrawingError(GHNInitError, ValueError):
    """A network cannot be drawn; the message says what is missing or wrong."""


def needed(module: str) -> Any:
    """The module of that name.

    Raises:
        DrawingError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DrawingError(
            f"drawing needs {module.partition('.')[0]} ({error}): pip install 'ghn-init[draw]'"
        ) from error
