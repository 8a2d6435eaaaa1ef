"""Names of splits, of which the same one has several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ghn_init.errors import DataError

#: Names of the usual splits, the first of each group being its own.
SYNONYMS = (
    ("train", "training"),
    ("validation", "val", "valid", "dev", "eval", "evaluation"),
    ("test", "testing"),
)

#: Splits to evaluate on, the best first.
EVALUATION = ("test", "validation")

_CANONICAL = {name: group[0] for group in SYNONYMS for name in group}

#: The end of a name such as train-00000-of-00001.
_SHARD = re.compile(r"[-_.]\d+(-of-\d+)?$")


def canonical(name: str) -> str:
    """The usual name of the split called `name`; other names stay."""
    return _CANONICAL.get(name.lower(), name)


def usual(name: str) -> str | None:
    """The usual split that `name` is a name of."""
    return _CANONICAL.get(name.lower())


def of_file(path: Path) -> str:
    """The split that a file's name (train.parquet, train-00000-of-00001.parquet) or its folder (train/0.parquet) says.

    With neither, the name without the number of a shard.
    """
    stem = _SHARD.sub("", path.stem)
    return usual(stem) or usual(re.split(r"[-_.]", stem)[0]) or usual(path.parent.name) or stem


def choose(available: Iterable[str], wanted: str | Sequence[str], where: object) -> str:
    """The first of `available` that is the split `wanted`, or the first one wanted of several.

    Raises:
        DataError: none is; the message says which there are.
    """
    available = list(available)
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    for split in wanted:
        for name in available:
            if name == split or canonical(name) == canonical(split):
                return name
    raise DataError(f"{where} has no split {' or '.join(map(repr, wanted))}; it has {', '.join(map(repr, available))}")
