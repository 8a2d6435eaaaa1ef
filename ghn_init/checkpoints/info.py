"""What a checkpoint's ``config.json`` says.

The file is a JSON object with these keys; those marked * must be there, others that are not listed are refused:

- ``format_version``*: 1.
- ``name``*: what the checkpoint is called.
- ``description``: one sentence: what it is for.
- ``license``: SPDX identifier of the weights' licence.
- ``references``: addresses of where the facts in this file come from.
- ``ghn``: the architecture, `ghn_init.hypernet.GHNConfig.to_dict`; missing only where ``source`` says where the weights
  are, whose own sizes then count.
- ``training``, ``evaluation``: free objects: data, steps, hardware; measured results. Where ``training.data`` is an
  object, ``classes`` in it is a number, ``mean`` and ``std``, by which images are normalised, are three numbers each.
- ``familiarity``: statistics of the architectures that the GHN was trained on, by which it is told how far another one
  is from them; `ghn_init.explain.statistics` says what is in it, and checks that when it is used.
- ``file``, ``size``, ``sha256``: the weights beside this file (safetensors): name, bytes, digest.
- ``source``: where a published file comes from that is converted on first use: ``file``*, then ``repo_id`` of a Hub
  repository with ``revision``, or the ``page`` from which to download it by hand; ``size``, ``sha256``.

``hub_configs/schema.json`` says the same as a JSON schema.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ghn_init.checkpoints.untrusted import brief, open_regular, strict_json
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHNConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
FORMAT_VERSION = 1

_MAX_CONFIG_BYTES = 2**20
#: The inside of a list of many numbers, which would be as many lines otherwise; texts in JSON have no line ends.
_NUMBERS = re.compile(r"(?:\n +-?\d[-+.eE\d]*,?){8,}\n +(?=\])")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")
#: Both become parts of paths in the Hub's cache.
_REPOSITORY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.\-]*/[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.\-/]*")


@dataclasses.dataclass(frozen=True)
class Source:
    """A published file.

    Attributes:
        file: its name where it was published.
        repo_id: its repository on the Hub; None if it is elsewhere.
        page: the address of a page from which to download it by hand, where there is no repository.
        revision: branch, tag or commit; None for the newest.
        size: bytes, where known.
        sha256: digest, where known.
    """

    file: str
    repo_id: str | None = None
    page: str | None = None
    revision: str | None = None
    size: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if (self.repo_id is None) == (self.page is None):
            raise ValueError("'source' must have either 'repo_id' or 'page'")


@dataclasses.dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint's ``config.json``; the attributes are its keys, which this module's docstring explains."""

    name: str
    description: str = ""
    license: str | None = None
    references: tuple[str, ...] = ()
    ghn: GHNConfig | None = None
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    familiarity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    file: str | None = None
    size: int | None = None
    sha256: str | None = None
    source: Source | None = None

    def to_json(self) -> str:
        """The text of ``config.json``, a line for each list of numbers; keys without a value are left out."""
        data: dict[str, Any] = {"format_version": FORMAT_VERSION}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, GHNConfig):
                value = value.to_dict()
            elif isinstance(value, Source):
                value = {key: part for key, part in dataclasses.asdict(value).items() if part is not None}
            if value not in (None, "", {}, ()):
                data[field.name] = value
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        return _NUMBERS.sub(lambda numbers: " ".join(numbers[0].split()), text) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> CheckpointInfo:
        """Inverse of `to_json`.

        Args:
            text: the file's text.
            where: the file's name, for error messages.

        Raises:
            CheckpointError: not JSON, an unknown or missing key, a value of the wrong type; named.
        """
        try:
            data = strict_json(text)
        except ValueError as error:
            raise CheckpointError(f"{where}: not a checkpoint's configuration: {brief(str(error))}.") from error
        if not isinstance(data, dict):
            raise CheckpointError(
                f"{where}: not a checkpoint's configuration: holds {type(data).__name__}, not an object."
            )
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{where}: format_version is {brief(repr(version), 80)}, this ghn_init reads {FORMAT_VERSION}; it is "
                "not a GHN's configuration, or a newer ghn_init wrote it."
            )
        try:
            del data["format_version"]
            values = _checked(data, cls, "")
            values["references"] = tuple(values.get("references", ()))
            if isinstance(values.get("training", {}).get("data"), dict):
                _check_values(values["training"]["data"], _DATA_CHECKS, "training.data.")
            if "ghn" in values:
                values["ghn"] = GHNConfig.from_dict(values["ghn"])
            if "source" in values:
                values["source"] = Source(**_checked(values["source"], Source, "source."))
            return cls(**values)
        except ValueError as error:
            raise CheckpointError(f"{where}: {brief(str(error))}.") from error


def read_info(path: Path) -> CheckpointInfo:
    """Reads a ``config.json``.

    Raises:
        CheckpointError: missing, too large, or not a checkpoint's configuration.
    """
    with open_regular(path) as file:
        raw = file.read(_MAX_CONFIG_BYTES + 1)
    if len(raw) > _MAX_CONFIG_BYTES:
        raise CheckpointError(f"{path}: larger than {_MAX_CONFIG_BYTES} bytes, not a checkpoint's configuration.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not UTF-8 text.") from error
    return CheckpointInfo.from_json(text, str(path))


def plain_name(value: str) -> bool:
    """Whether a file name stays in its folder on every system: letters, digits, dots, dashes, underscores."""
    return _PLAIN_NAME.fullmatch(value) is not None


def _is_hash(value: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _are_strings(value: list[Any]) -> bool:
    return all(type(item) is str for item in value)


def _are_three(value: list[Any], least: float) -> bool:
    """Whether these are the numbers of the three channels, each above `least`, and of a size that a float can have."""
    return len(value) == 3 and all(type(item) in (int, float) and least < item < _LARGEST for item in value)


_LARGEST = 1e30
#: What a key's value must be: the type, and a further condition with its name.
_Checks = dict[str, tuple[type, Any, str]]
_DATA_CHECKS: _Checks = {
    "classes": (int, lambda value: value >= 1, "a number of classes"),
    "mean": (list, lambda value: _are_three(value, -_LARGEST), "three numbers"),
    "std": (list, lambda value: _are_three(value, 0), "three numbers above 0"),
}
_CHECKS: _Checks = {
    "name": (str, lambda value: 0 < len(value) <= 200, "a short string"),
    "description": (str, None, "a string"),
    "license": (str, None, "a string"),
    "references": (list, _are_strings, "a list of strings"),
    "ghn": (dict, None, "an object"),
    "training": (dict, None, "an object"),
    "evaluation": (dict, None, "an object"),
    "familiarity": (dict, None, "an object"),
    "file": (str, plain_name, "a file name without a folder"),
    "size": (int, lambda value: value >= 0, "a number of bytes"),
    "sha256": (str, _is_hash, "64 hexadecimal digits"),
    "source": (dict, None, "an object"),
    "repo_id": (str, _REPOSITORY.fullmatch, "a repository such as user/name"),
    "page": (str, None, "a string"),
    "revision": (str, _REVISION.fullmatch, "a branch, tag or commit"),
}


def _checked(data: Mapping[str, Any], target: type[Source] | type[CheckpointInfo], prefix: str) -> dict[str, Any]:
    fields = {field.name: field.default for field in dataclasses.fields(target)}
    problems = [f"unknown key {prefix + key!r}" for key in data if key not in fields]
    required = [
        field.name
        for field in dataclasses.fields(target)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    problems += [f"{prefix + key!r} is missing" for key in required if key not in data]
    if problems:
        raise ValueError("; ".join(problems))
    _check_values(data, _CHECKS, prefix)
    return dict(data)


def _check_values(data: Mapping[str, Any], checks: _Checks, prefix: str) -> None:
    problems = []
    for key, (kind, condition, wanted) in checks.items():
        if key in data and (type(data[key]) is not kind or (condition is not None and not condition(data[key]))):
            problems.append(f"{prefix + key!r} must be {wanted}")
    if problems:
        raise ValueError("; ".join(problems))
