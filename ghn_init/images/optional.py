"""Libraries that only some data sets need."""

from __future__ import annotations

import importlib
from typing import Any

from ghn_init.errors import DataError


def needed(module: str, install: str = "'ghn-init[train]'") -> Any:
    """The module of that name.

    Raises:
        DataError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"this data set needs {module.partition('.')[0]} ({error}): pip install {install}") from error
