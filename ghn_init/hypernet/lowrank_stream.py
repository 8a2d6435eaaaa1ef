"""Inference with LoGAH's decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ghn_init.hypernet.lowrank import LEFT, RIGHT, LowRankDecoder
from ghn_init.hypernet.stream import Rows
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged


class LowRankStream:
    """The blocks of a `LowRankDecoder`; arguments as for `ConvStream`.

    Of the left factor so many rows are made at a time as the budget allows. The right one is made whole, once a block:
    it is small against the block, in all but the narrowest layers.
    """

    def __init__(self, decoder: LowRankDecoder, states: Tensor, wanted: Sequence[Target], budget: int) -> None:
        self.decoder = decoder
        self.wanted = list(wanted)
        self.budget = budget
        self.features = decoder.features(states)
        self._sizes = [decoder.block_size(target) for target in wanted]
        self._made = [decoder.made(size) for size in self._sizes]

    @property
    def device(self) -> torch.device:
        """As `Stream.device`."""
        return self.features.device

    def bounds(self) -> list[float]:
        """As `Stream.bounds`: the product of the longest rows of the two factors."""
        lengths = self._longest(LEFT) * self._longest(RIGHT)
        return [length * target.scale for length, target in zip(lengths.tolist(), self.wanted, strict=True)]

    def rows(self, members: Sequence[int]) -> Iterator[Rows]:
        """As `Stream.rows`."""
        for member in members:
            yield from self._rows(member)

    def _rows(self, member: int) -> Iterator[Rows]:
        decoder, features = self.decoder, self.features[member : member + 1]
        (out, inner, height, width), target = self._made[member], self.wanted[member]
        columns = decoder.factor(features, RIGHT, 0, inner * width)[0].t()
        step = max(1, self.budget // (4 * height * (inner * width + decoder.rank)))
        for first in range(0, out, step):
            last = min(first + step, out)
            left = decoder.factor(features, LEFT, first * height, last * height)[0]
            block = (left * target.scale @ columns).view(last - first, height, inner, width).transpose(1, 2)
            yield Rows(member, first, out, enlarged(block, *self._sizes[member][2:]))

    def _longest(self, side: int) -> Tensor:
        """For each target the norm of its factor's longest row, or NaN: (targets,)."""
        counts = [(out * height, inner * width)[side] for out, inner, height, width in self._made]
        found = self.features.new_empty(len(counts))
        for members, rows in self.decoder.factors(self.features, side, counts):
            found[torch.tensor(members, device=self.device)] = torch.linalg.vector_norm(rows, dim=2).amax(dim=1)
        return found
