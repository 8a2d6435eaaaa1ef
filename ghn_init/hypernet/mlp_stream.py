"""Inference with GHN-1's decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ghn_init.hypernet.bounds import largest
from ghn_init.hypernet.decoders import MLPDecoder
from ghn_init.hypernet.stream import Rows
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged


class MLPStream:
    """The blocks of an `MLPDecoder`; arguments as for `ConvStream`."""

    def __init__(self, decoder: MLPDecoder, states: Tensor, wanted: Sequence[Target], budget: int) -> None:
        self.decoder = decoder
        self.wanted = list(wanted)
        self.budget = budget
        self.hidden = F.relu(decoder.hidden(states))

    @property
    def device(self) -> torch.device:
        """As `Stream.device`."""
        return self.hidden.device

    def bounds(self) -> list[float]:
        """As `Stream.bounds`: the largest weight times the sum of the features, which are positive."""
        found = []
        for target, total in zip(self.wanted, self.hidden.sum(dim=1).tolist(), strict=True):
            layer = self.decoder.classes if target.kind == "class_block" else self.decoder.weights
            found.append((largest(layer.weight) * total + largest(layer.bias)) * target.scale)
        return found

    def rows(self, members: Sequence[int]) -> Iterator[Rows]:
        """As `Stream.rows`."""
        for member in members:
            yield from self._rows(member)

    def _rows(self, member: int) -> Iterator[Rows]:
        decoder, target, hidden = self.decoder, self.wanted[member], self.hidden[member]
        out, inner, height, width = target.block_size(decoder.max_shape)
        if target.kind == "class_block":
            values = decoder.classes(hidden).view(decoder.num_classes, -1)[:, :inner, None, None]
            yield Rows(member, 0, decoder.num_classes, values * target.scale)
            return
        top, bottom, left, right = decoder.window((out, inner, height, width))
        weight = decoder.weights.weight.view(*decoder.max_shape, -1)
        bias = decoder.weights.bias.view(decoder.max_shape)
        step = max(1, self.budget // (4 * inner * (bottom - top) * (right - left) * len(hidden)))
        for first in range(0, out, step):
            part = (slice(first, min(first + step, out)), slice(inner), slice(top, bottom), slice(left, right))
            block = torch.add(bias[part], weight[part] @ hidden)
            yield Rows(member, first, out, enlarged(block, height, width) * target.scale)
