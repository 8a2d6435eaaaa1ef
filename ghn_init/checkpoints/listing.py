"""What there is to say of a known checkpoint before it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console

from ghn_init.checkpoints import hub
from ghn_init.checkpoints.info import CheckpointInfo, Source
from ghn_init.checkpoints.registry import known
from ghn_init.hypernet import GHN
from ghn_init.rendering import Rendered, inert, plain_table, size_text

_HERE = {True: "yes", False: "no", None: "by path"}


@dataclasses.dataclass(frozen=True)
class Listing:
    """One line of a list of checkpoints.

    Attributes:
        name: its name.
        description: what it is for.
        origin: where its weights come from.
        license: SPDX identifier of their licence, where known.
        size: bytes of its weights; None if neither size nor architecture is known.
        exact: whether `size` was measured, and not worked out from the architecture.
        here: whether it can be used without a download; None if it is used by the path of a file.
        num_classes: classes of the heads that it predicts.
    """

    name: str
    description: str
    origin: str
    license: str | None
    size: int | None
    exact: bool
    here: bool | None
    num_classes: int | None


class Listings(Rendered, tuple[Listing, ...]):
    """Checkpoints, which print as a table."""

    __slots__ = ()

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = plain_table("name", "size", "here", "classes", "licence", "what for", right=("size", "classes"))
        for one in self:
            size, classes = size_text(one.size, one.exact), str(one.num_classes or "?")
            table.add_row(
                inert(one.name), size, _HERE[one.here], classes, inert(one.license or "?"), inert(one.description)
            )
        yield table


def listings() -> Listings:
    """Every known checkpoint, the default first; nothing is fetched."""
    return Listings(_listing(info) for info in known().values())


def _listing(info: CheckpointInfo) -> Listing:
    source, size = info.source, info.size
    if source is not None:
        size = source.size
    exact = size is not None
    if size is None and info.ghn is not None:
        with torch.device("meta"):
            size = 4 * sum(parameter.numel() for parameter in GHN(info.ghn).parameters())
    return Listing(
        name=info.name,
        description=info.description,
        origin="comes with ghn-init" if source is None else f"{source.repo_id or source.page}/{source.file}",
        license=info.license,
        size=size,
        exact=exact,
        here=True if source is None else _is_here(source),
        num_classes=_classes(info),
    )


def _is_here(source: Source) -> bool | None:
    return None if source.repo_id is None else hub.is_cached(source.repo_id, source.file, source.revision)


def _classes(info: CheckpointInfo) -> int | None:
    if info.ghn is not None:
        return info.ghn.num_classes
    data = info.training.get("data")
    return data.get("classes") if isinstance(data, Mapping) else None
