"""The convolutional decoder's last layer, a few out channels at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from ghn_init.hypernet.conv_features import Features
from ghn_init.hypernet.decoders import ConvDecoder, Size

#: Multiply-adds that take as long as one more piece of a block to handle.
PIECE = 300_000


class Slab:
    """The last layer for targets that need the same out channels.

    Args:
        decoder: the decoder.
        features: the targets' features.
        sizes: the sizes of their blocks and the factors of their normalisation, in the order of their in channels,
            falling.
        budget: bytes that its output may take at a time.
    """

    def __init__(
        self, decoder: ConvDecoder, features: Features, sizes: Mapping[int, tuple[Size, float]], budget: int
    ) -> None:
        self.decoder = decoder
        self.sizes = sizes
        self.budget = budget
        counts = [features.places[member][1] - features.places[member][0] for member in sizes]
        self.ends = list(accumulate(counts))
        self.columns = features.columns(list(sizes))
        inner = [size[1] for size, _ in sizes.values()]
        out = max(size[0] for size, _ in sizes.values())
        self.segments = segments(inner, self.ends, self.columns.shape[0] * out)

    def height(self, left: int) -> int:
        """How many out channels fit into the budget, if so many are left: slabs of nearly the same height."""
        bytes_each = 4 * sum((high - low) * self.ends[count - 1] for low, high, count in self.segments)
        slabs = -(-left * bytes_each // self.budget)
        return -(-left // slabs)

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """For each target its out channels `first` to at most `last`, normalised: (channels, in, height, width)."""
        decoder = self.decoder
        weight, bias = decoder.channel_slice(*decoder.max_shape[:2])
        parts = []
        for low, high, count in self.segments:
            columns = self.columns[:, : self.ends[count - 1]].expand(last - first, -1, -1)
            parts.append(torch.baddbmm(bias[first:last, low:high, None], weight[first:last, low:high], columns))
        start = 0
        for index, ((member, (size, scale)), end) in enumerate(zip(self.sizes.items(), self.ends, strict=True)):
            rows, inner = min(size[0], last) - first, size[1]
            block = self.columns.new_empty(rows, inner, end - start)
            for part, (low, high, count) in zip(parts, self.segments, strict=True):
                if index < count:
                    stop = min(high, inner)
                    torch.mul(part[:rows, : stop - low, start:end], scale, out=block[:, low:stop])
            top, bottom, left, right = decoder.window(size)
            yield member, block.view(rows, inner, bottom - top, right - left)
            start = end


def segments(inner: Sequence[int], ends: Sequence[int], cost: int) -> list[tuple[int, int, int]]:
    """Ranges of in channels to decode one after the other, each for those targets only that need it.

    Args:
        inner: in channels of the targets, falling.
        ends: number of places of each target and all targets before it.
        cost: multiply-adds for one in channel of one place.

    Returns:
        (first in channel, past the last one, number of leading targets that need some of them), from channel 0 on. A
        target that needs only a part of a range shares all of it, where that costs less than one more range.
    """
    found: list[tuple[int, int, int]] = []
    high, count = inner[0], len(inner)
    for index in range(1, count):
        low = inner[index]
        if low == inner[index - 1] or low >= high:
            continue
        spared = (ends[-1] - ends[index - 1]) * (high - low) * cost
        if spared > index * PIECE:
            found.append((low, high, index))
            high = low
    found.append((0, high, count))
    return found[::-1]
