"""Command-line options for the fields of a configuration: names, types and help come from the dataclass."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

import typer


def described(config: type[Any]) -> dict[str, str]:
    """The text of each field in the "Attributes" part of a dataclass's docstring."""
    text = inspect.getdoc(config) or ""
    _, _, attributes = text.partition("Attributes:\n")
    attributes = attributes.partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", attributes, flags=re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}


def options_for(config: type[Any], panel: str, *, leave_out: tuple[str, ...] = ()) -> list[inspect.Parameter]:
    """A keyword parameter for each field of a dataclass, None unless it is given.

    Args:
        config: a dataclass of numbers, texts, choices (`Literal`) and tuples of numbers.
        panel: the heading in the help.
        leave_out: fields without an option.
    """
    help_texts, hints = described(config), typing.get_type_hints(config)
    return [
        _parameter(field.name, hints[field.name], help_texts[field.name], panel)
        for field in dataclasses.fields(config)
        if field.name not in leave_out
    ]


def given(config: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that are fields of `config` and were given, as plain values; lists as tuples."""
    names = {field.name for field in dataclasses.fields(config)}
    wanted = {name: value for name, value in values.items() if name in names and value not in (None, [], ())}
    return {name: plain(value) for name, value in wanted.items()}


def with_options(function: Callable[..., None], options: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """`function` as typer is to see it: with these options in place of its ``**settings``."""
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    whole = signature.replace(parameters=[*keyword_only, *options])
    function.__signature__ = whole  # type: ignore[attr-defined]
    function.__annotations__ = {name: parameter.annotation for name, parameter in whole.parameters.items()}
    return function


def choices(name: str, values: Iterable[str]) -> Any:
    """An enumeration of texts, as typer wants them: each is its own name and value."""
    return enum.Enum(name, {value: value for value in values}, type=str)


def plain(value: Any) -> Any:
    """An option's value without typer's types: the text of a choice, the tuple of a list."""
    if isinstance(value, enum.Enum):
        return value.value
    return tuple(value) if isinstance(value, list) else value


def _parameter(name: str, hint: Any, text: str, panel: str) -> inspect.Parameter:
    text = text[0].upper() + text[1:]
    flag = "--" + name.replace("_", "-")
    kind: Any
    if typing.get_origin(hint) is Literal:
        kind, option = choices(name, typing.get_args(hint)), typer.Option(flag, help=text, rich_help_panel=panel)
    elif hint is bool:
        kind, option = bool, typer.Option(f"{flag}/--no{flag[1:]}", help=text, rich_help_panel=panel)
    elif typing.get_origin(hint) is tuple:
        several = Ellipsis in typing.get_args(hint)
        element = typing.get_args(hint)[0]
        kind = list[element] if several else hint  # type: ignore[valid-type]
        option = typer.Option(flag, help=text + (" Repeatable." if several else ""), rich_help_panel=panel)
    else:
        kind, option = hint, typer.Option(flag, help=text, rich_help_panel=panel)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
