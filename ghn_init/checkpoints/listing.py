"""What there is to say of a known checkpoint before it is read."""

from __future__ import annotations

import dataclasses

import torch

from ghn_init.checkpoints import hub
from ghn_init.checkpoints.info import CheckpointInfo
from ghn_init.checkpoints.registry import known
from ghn_init.hypernet import GHN


@dataclasses.dataclass(frozen=True)
class Listing:
    """One line of a list of checkpoints.

    Attributes:
        name: its name.
        description: what it is for.
        origin: where its weights come from.
        size: bytes of its weights; None if neither size nor architecture is known.
        exact: whether `size` was measured, and not worked out from the architecture.
        here: whether it can be used without a download.
        num_classes: classes of the heads that it predicts.
    """

    name: str
    description: str
    origin: str
    size: int | None
    exact: bool
    here: bool
    num_classes: int | None


def listings() -> list[Listing]:
    """Every known checkpoint, the default first; nothing is fetched."""
    return [_listing(info) for info in known().values()]


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
        origin="comes with ghn-init" if source is None else f"{source.repo_id}/{source.file}",
        size=size,
        exact=exact,
        here=source is None or hub.is_cached(source.repo_id, source.file, source.revision),
        num_classes=None if info.ghn is None else info.ghn.num_classes,
    )
