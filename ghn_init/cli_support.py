"""What the commands of `ghn_init.cli` share: consoles, errors in one line, progress, tables."""

from __future__ import annotations

import ast
import contextlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ghn_init.errors import GHNInitError
from ghn_init.rendering import line, plain_table
from ghn_init.rendering import size_text as size_text

#: Results go to standard output, everything else to standard error.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)
table = plain_table


@contextlib.contextmanager
def errors_in_one_line(debug: bool) -> Iterator[None]:
    """Ends the program with status 1 and one line on an error; with `debug`, with Python's stack trace."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always" if debug else "default")
            try:
                yield
            finally:
                for warning in caught:
                    if issubclass(warning.category, UserWarning):
                        err.print(line(("warning:", "yellow"), f" {_one_line(warning.message)}"))
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError, KeyboardInterrupt):
        raise
    except (GHNInitError, OSError) as error:
        _fail(error, debug, "")
    except Exception as error:  # noqa: BLE001 - whatever else goes wrong is a line too, and a trace on demand
        _fail(error, debug, f"{type(error).__name__}: ")


def _fail(error: Exception, debug: bool, kind: str) -> None:
    if debug:
        raise error
    hint = " (--debug shows where)" if kind else ""
    err.print(line(("error:", "red"), f" {kind}{_one_line(error)}{hint}"))
    raise typer.Exit(1) from error


def _one_line(message: object) -> str:
    text = str(message)
    if isinstance(message, OSError) and message.strerror and message.filename:
        text = f"{message.filename}: {message.strerror}"
    return " ".join(text.split())


@contextlib.contextmanager
def stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Shows what is being done while it is done, on a terminal, and notes how long it took."""
    started = time.perf_counter()
    with err.status(name) if err.is_terminal else contextlib.nullcontext():
        yield
    seconds[name] = time.perf_counter() - started


@contextlib.contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], object]]:
    """Yields what is told the bytes written and those of all, and shows them as a bar on a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def counting_columns() -> list[ProgressColumn]:
    """The columns of a bar that counts things: how many, how long it took, how long it will take."""
    return [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]


def print_json(data: Any) -> None:
    """Prints JSON, and nothing else, to standard output."""
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def options_from(pairs: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments from texts ``name=value``: Python literals, or else texts.

    Raises:
        typer.BadParameter: no such text.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=VALUE.", param_hint="--model-kwargs")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options
