"""What the convolutional decoder knows before its last layer, for inference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from ghn_init.hypernet.decoders import ConvDecoder, Window, grouped


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """Hidden features of some targets, place by place.

    Attributes:
        values: (places of all targets, 8 hid), not negative.
        places: for each target the first and the past-the-last row.
    """

    values: Tensor
    places: dict[int, tuple[int, int]]

    def totals(self) -> dict[int, float]:
        """For each target the largest sum over the features of a place; NaN if a feature is not finite."""
        sums = self.values.sum(dim=1).tolist()
        found = {}
        for member, (start, stop) in self.places.items():
            # max would lose a NaN, a sum does not.
            finite = sum(sums[start:stop]) < float("inf")
            found[member] = max(sums[start:stop]) if finite else float("nan")
        return found

    def columns(self, members: list[int]) -> Tensor:
        """The features of some targets side by side: (8 hid, their places)."""
        rows = [row for member in members for row in range(*self.places[member])]
        return self.values.t().index_select(1, torch.tensor(rows, device=self.values.device))


def find_features(decoder: ConvDecoder, states: Tensor, windows: Mapping[int, Window]) -> Features:
    """As `ConvDecoder.features`, but without a copy of the first layer's weight.

    Args:
        decoder: the decoder.
        states: node states, (targets, hid).
        windows: for some targets, by their index in `states`, the places in the largest kernel.
    """
    side, wide = decoder.max_shape[2], decoder.mix.in_features
    weight = decoder.places.weight.view(wide, side, side, -1)
    bias = decoder.places.bias.view(wide, side, side)
    areas = [(bottom - top) * (right - left) for top, bottom, left, right in windows.values()]
    values = states.new_empty(sum(areas), decoder.mix.out_features)
    places: dict[int, tuple[int, int]] = {}
    names, start = list(windows), 0
    for (top, bottom, left, right), indices in grouped(list(windows.values())).items():
        members = [names[index] for index in indices]
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
        torch.addmm(decoder.mix.bias, rows, decoder.mix.weight.t(), out=values[start:stop])
        places |= {member: (start + area * n, start + area * (n + 1)) for n, member in enumerate(members)}
        start = stop
    return Features(values.relu_(), places)
