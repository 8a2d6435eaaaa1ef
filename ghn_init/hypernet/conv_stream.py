"""Inference with the convolutional decoder: all but its last layer at once, the last layer in slabs of out channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from ghn_init.hypernet.bounds import largest
from ghn_init.hypernet.decoders import ConvDecoder, grouped
from ghn_init.hypernet.stream import Rows
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged

#: Multiply-adds that take as long as one more piece of a block to handle.
PIECE = 300_000


class ConvStream:
    """The blocks of a `ConvDecoder`.

    Large decoders are almost nothing but their last layer's weight, which no cache holds. It is read once, a slab of
    out channels at a time, for all targets that need these channels, and where it lies: no part of it is ever copied.

    Args:
        decoder: the decoder.
        states: node states of the targets, (targets, hid).
        wanted: targets of kind "block" or "class_block".
        budget: bytes that the features, and again the blocks, may take at a time.
    """

    def __init__(self, decoder: ConvDecoder, states: Tensor, wanted: Sequence[Target], budget: int) -> None:
        self.decoder = decoder
        self.wanted = list(wanted)
        self.budget = budget
        self.sizes = [target.block_size(decoder.max_shape) for target in wanted]
        for index, target in enumerate(wanted):
            if target.kind == "class_block":
                self.sizes[index] = (decoder.max_shape[0], *self.sizes[index][1:])
        self.features, self.places = features(decoder, states, [decoder.window(size) for size in self.sizes])

    @property
    def device(self) -> torch.device:
        """As `Stream.device`."""
        return self.features.device

    def bounds(self) -> list[float]:
        """As `Stream.bounds`: the largest weight times the sum of the features, which are positive."""
        decoder = self.decoder
        weight, bias = largest(decoder.weights.weight), largest(decoder.weights.bias)
        class_weight, class_bias = largest(decoder.classes.weight), largest(decoder.classes.bias)
        sums = self.features.sum(dim=1).tolist()
        found = []
        for target, (start, stop) in zip(self.wanted, self.places, strict=True):
            # A NaN would get lost in max, but not in a sum.
            total = max(sums[start:stop]) if sum(sums[start:stop]) < float("inf") else float("nan")
            bound = weight * total + bias
            if target.kind == "class_block":
                bound = decoder.max_shape[0] * class_weight * bound + class_bias
            found.append(bound * target.scale)
        return found

    def rows(self, members: Sequence[int]) -> Iterator[Rows]:
        """As `Stream.rows`."""
        batch: list[int] = []
        size = 0
        for member in sorted(members, key=lambda member: -self.sizes[member][1]):
            start, stop = self.places[member]
            needed = 4 * (stop - start) * self.features.shape[1]
            if batch and size + needed > self.budget:
                yield from self._together(batch)
                batch, size = [], 0
            batch.append(member)
            size += needed
        if batch:
            yield from self._together(batch)

    def _together(self, members: list[int]) -> Iterator[Rows]:
        """The blocks of some targets, which are sorted by in channels, falling."""
        heads = {
            member: self.features.new_zeros(self.decoder.num_classes, self.sizes[member][1])
            for member in members
            if self.wanted[member].kind == "class_block"
        }
        end = max(self.sizes[member][0] for member in members)
        slab: Slab | None = None
        first = 0
        while first < end:
            active = [member for member in members if self.sizes[member][0] > first]
            if slab is None or slab.members != active:
                slab = Slab(self, active)
            last = min(end, first + slab.height(end - first))
            for member, block in slab.blocks(first, last):
                if member in heads:
                    weight = self.decoder.classes.weight[:, first : first + block.shape[0]]
                    heads[member].addmm_(weight, F.relu(block[:, :, 0, 0]))
                else:
                    yield Rows(member, first, self.sizes[member][0], enlarged(block, *self.sizes[member][2:]))
            first = last
        for member, head in heads.items():
            values = head.add_(self.decoder.classes.bias[:, None]).mul_(self.wanted[member].scale)
            yield Rows(member, 0, values.shape[0], values[:, :, None, None])


class Slab:
    """The last layer for targets that need the same out channels.

    Args:
        stream: the stream.
        members: indices of the targets, sorted by in channels, falling.
    """

    def __init__(self, stream: ConvStream, members: list[int]) -> None:
        self.stream = stream
        self.members = members
        counts = [stream.places[member][1] - stream.places[member][0] for member in members]
        self.ends = list(accumulate(counts))
        rows = torch.cat([stream.features[slice(*stream.places[member])] for member in members])
        self.columns = rows.t().contiguous()
        inner = [stream.sizes[member][1] for member in members]
        self.segments = segments(inner, self.ends, self.columns.shape[0] * stream.sizes[members[0]][0])

    def height(self, left: int) -> int:
        """How many out channels fit into the budget, if so many are left: slabs of nearly the same height."""
        bytes_each = 4 * sum((high - low) * self.ends[count - 1] for low, high, count in self.segments)
        slabs = -(-left * bytes_each // self.stream.budget)
        return -(-left // slabs)

    def blocks(self, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """For each target its out channels `first` to at most `last`, normalised: (channels, in, height, width)."""
        decoder = self.stream.decoder
        weight, bias = decoder.channel_slice(*decoder.max_shape[:2])
        parts = []
        for low, high, count in self.segments:
            columns = self.columns[:, : self.ends[count - 1]].expand(last - first, -1, -1)
            parts.append(torch.baddbmm(bias[first:last, low:high, None], weight[first:last, low:high], columns))
        start = 0
        for index, (member, end) in enumerate(zip(self.members, self.ends, strict=True)):
            out, inner, height, width = self.stream.sizes[member]
            rows = min(out, last) - first
            # A head's weights are normalised after the class layer.
            target = self.stream.wanted[member]
            scale = 1.0 if target.kind == "class_block" else target.scale
            block = self.columns.new_empty(rows, inner, end - start)
            for part, (low, high, count) in zip(parts, self.segments, strict=True):
                if index < count:
                    stop = min(high, inner)
                    torch.mul(part[:rows, : stop - low, start:end], scale, out=block[:, low:stop])
            top, bottom, left, right = decoder.window((out, inner, height, width))
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


def features(
    decoder: ConvDecoder, states: Tensor, windows: Sequence[tuple[int, int, int, int]]
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Hidden features before the last layer, as `ConvDecoder.features`, but without a copy of the first layer's weight.

    Args:
        decoder: the decoder.
        states: node states, (targets, hid).
        windows: for each state the places in the largest kernel: (top, bottom, left, right).

    Returns:
        Features, (places of all targets, 8 hid), and for each target its first and past-the-last row in them.
    """
    side, wide = decoder.max_shape[2], decoder.mix.in_features
    weight = decoder.places.weight.view(wide, side, side, -1)
    bias = decoder.places.bias.view(wide, side, side)
    areas = [(bottom - top) * (right - left) for top, bottom, left, right in windows]
    found = states.new_empty(sum(areas), decoder.mix.out_features)
    places: list[tuple[int, int]] = [(0, 0)] * len(windows)
    start = 0
    for (top, bottom, left, right), members in grouped(windows).items():
        chosen = states[torch.tensor(members, device=states.device)]
        maps = states.new_empty(len(members), bottom - top, right - left, wide)
        for row in range(top, bottom):
            local = weight[:, row, left:right].permute(1, 2, 0)
            offset = bias[:, row, left:right].t()[:, None]
            line = torch.baddbmm(offset, chosen.expand(right - left, -1, -1), local)
            maps[:, row - top] = line.transpose(0, 1)
        area = (bottom - top) * (right - left)
        stop = start + len(members) * area
        rows = maps.relu_().view(-1, wide)
        torch.addmm(decoder.mix.bias, rows, decoder.mix.weight.t(), out=found[start:stop])
        places_here = range(start, stop, area)
        for member, place in zip(members, places_here, strict=True):
            places[member] = (place, place + area)
        start = stop
    return found.relu_(), places
