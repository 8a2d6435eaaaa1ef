"""What a source of images is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Request:
    """A data set and a split of it.

    Attributes:
        name: of the data set, without a prefix; or a path.
        split: the split, or several of which the first that there is will do.
        memory: bytes that images may take in memory.
        root: folder for downloads; None for the usual one.
    """

    name: str
    split: str | Sequence[str]
    memory: int
    root: Path | None = None

    @property
    def path(self) -> Path:
        """The name as a path."""
        return Path(self.name).expanduser()
