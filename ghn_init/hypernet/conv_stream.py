"""Inference with the convolutional decoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor

from ghn_init.hypernet.bounds import largest
from ghn_init.hypernet.conv_features import Features, find_features
from ghn_init.hypernet.conv_slab import Slab
from ghn_init.hypernet.decoders import ConvDecoder
from ghn_init.hypernet.stream import Rows
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged


class ConvStream:
    """The blocks of a `ConvDecoder`.

    Large decoders are almost nothing but their last layer's weight, which no cache holds. It is read once, a slab of
    out channels at a time, for all targets that need these channels, and where it lies: no part of it is ever copied.

    Of each target either the hidden features are kept or the block, whichever is smaller.

    Args:
        decoder: the decoder.
        states: node states of the targets, (targets, hid).
        wanted: targets of kind "block" or "class_block".
        budget: bytes that features, and again blocks, may take at a time.
    """

    def __init__(self, decoder: ConvDecoder, states: Tensor, wanted: Sequence[Target], budget: int) -> None:
        self.decoder = decoder
        self.wanted = list(wanted)
        self.budget = budget
        self.device = states.device
        self._sizes = [target.block_size(decoder.max_shape) for target in wanted]
        for index, target in enumerate(wanted):
            if target.kind == "class_block":
                self._sizes[index] = (decoder.max_shape[0], *self._sizes[index][1:])
        self._windows = [decoder.window(size) for size in self._sizes]

        width = decoder.mix.out_features
        small = [
            target.kind == "block" and size[0] * size[1] <= width
            for target, size in zip(self.wanted, self._sizes, strict=True)
        ]
        self._totals: dict[int, float] = {}
        self._blocks: dict[int, Tensor] = {}
        # Features, their copy side by side, and what precedes them are alive at once.
        for batch in self._batches((index for index, early in enumerate(small) if early), budget // 4):
            self._decode_early(batch, self._found(states, batch))
        self._features = self._found(states, [index for index, early in enumerate(small) if not early])

    def bounds(self) -> list[float]:
        """As `Stream.bounds`: the largest weight times the sum of the features, which are positive."""
        decoder = self.decoder
        weight, bias = largest(decoder.weights.weight), largest(decoder.weights.bias)
        class_weight, class_bias = largest(decoder.classes.weight), largest(decoder.classes.bias)
        found = []
        for index, target in enumerate(self.wanted):
            bound = weight * self._totals[index] + bias
            if target.kind == "class_block":
                bound = decoder.max_shape[0] * class_weight * bound + class_bias
            found.append(bound * target.scale)
        return found

    def rows(self, members: Sequence[int]) -> Iterator[Rows]:
        """As `Stream.rows`."""
        for member in members:
            if member in self._blocks:
                block = self._blocks[member]
                yield self._enlarged(Rows(member, 0, block.shape[0], block))
        for batch in self._batches((member for member in members if member not in self._blocks), self.budget):
            yield from map(self._enlarged, self._decoded(batch, self._features))

    def _found(self, states: Tensor, members: Iterable[int]) -> Features:
        found = find_features(self.decoder, states, {member: self._windows[member] for member in members})
        self._totals |= found.totals()
        return found

    def _decode_early(self, members: list[int], features: Features) -> None:
        for member in members:
            out, inner, _, _ = self._sizes[member]
            top, bottom, left, right = self._windows[member]
            self._blocks[member] = features.values.new_empty(out, inner, bottom - top, right - left)
        for rows in self._decoded(members, features):
            self._blocks[rows.member].narrow(0, rows.first, rows.values.shape[0]).copy_(rows.values)

    def _enlarged(self, rows: Rows) -> Rows:
        if self.wanted[rows.member].kind == "class_block":
            return rows
        _, _, height, width = self._sizes[rows.member]
        return dataclasses.replace(rows, values=enlarged(rows.values, height, width))

    def _batches(self, members: Iterable[int], most: int) -> Iterator[list[int]]:
        """The targets sorted by in channels, falling, in groups whose features take `most` bytes if they can."""
        batch: list[int] = []
        size = 0
        for member in sorted(members, key=lambda member: -self._sizes[member][1]):
            top, bottom, left, right = self._windows[member]
            needed = 4 * (bottom - top) * (right - left) * self.decoder.mix.out_features
            if batch and size + needed > most:
                yield batch
                batch, size = [], 0
            batch.append(member)
            size += needed
        if batch:
            yield batch

    def _decoded(self, members: list[int], features: Features) -> Iterator[Rows]:
        """The blocks of some targets, sorted by in channels, falling; kernels not yet enlarged."""
        decoder = self.decoder
        heads = {
            member: features.values.new_zeros(decoder.num_classes, self._sizes[member][1])
            for member in members
            if self.wanted[member].kind == "class_block"
        }
        end = max(self._sizes[member][0] for member in members)
        slab: Slab | None = None
        first = 0
        while first < end:
            active = [member for member in members if self._sizes[member][0] > first]
            if slab is None or len(slab.sizes) > len(active):
                # A head's weights are normalised after the class layer.
                scales = [1.0 if member in heads else self.wanted[member].scale for member in active]
                sizes = {member: (self._sizes[member], scale) for member, scale in zip(active, scales, strict=True)}
                slab = Slab(decoder, features, sizes, self.budget)
            last = min(end, first + slab.height(end - first))
            for member, block in slab.blocks(first, last):
                if member in heads:
                    weight = decoder.classes.weight[:, first : first + block.shape[0]]
                    heads[member].addmm_(weight, F.relu(block[:, :, 0, 0]))
                else:
                    yield Rows(member, first, self._sizes[member][0], block)
            first = last
        for member, head in heads.items():
            values = head.add_(decoder.classes.bias[:, None]).mul_(self.wanted[member].scale)
            yield Rows(member, 0, decoder.num_classes, values[:, :, None, None])
