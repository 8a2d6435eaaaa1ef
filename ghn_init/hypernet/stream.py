"""What inference and the decoders agree on: blocks that come a few out channels at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ghn_init.hypernet.decoders import BlockDecoder


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Some out channels of a decoded and normalised block.

    Attributes:
        member: index of the target.
        first: place of the first channel in the block.
        period: out channels of the whole block.
        values: (rows, in, height, width), float32.
    """

    member: int
    first: int
    period: int
    values: Tensor


class Stream(Protocol):
    """What is left to do for the blocks of a network once their hidden features are known."""

    @property
    def decoder(self) -> BlockDecoder:
        """What decodes the blocks."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the blocks are decoded."""
        ...

    def bounds(self) -> list[float]:
        """For each target a number that no element of its block exceeds in size; infinite or NaN if features are."""
        ...

    def rows(self, members: Sequence[int]) -> Iterator[Rows]:
        """Decodes the blocks of some targets, in pieces of limited size, in any order."""
        ...
