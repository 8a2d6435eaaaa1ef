"""LoGAH's decoder: every parameter is cut from a matrix of low rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.decoders import BlockDecoder, Size, grouped
from ghn_init.hypernet.normalise import FACTOR
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged

#: The two factors of a matrix: its rows and its columns.
LEFT, RIGHT = 0, 1
#: Numbers of factors that are made at a time, where not all are needed for the backward pass.
NUMBERS_AT_ONCE = 2**22


class LowRankDecoder(BlockDecoder):
    """Turns a node state into two factors of a matrix, whose rows and columns are (out, height) and (in, width).

    Zhou et al., 2024 ("LoGAH"), the low-rank decoder. A perceptron makes `rank` seeds for each factor, short vectors,
    and one linear layer makes `factor_rows` numbers of each seed. These numbers, one seed's after the other's, fill the
    factor row by row: (`factor_rows`, `rank`). Only the first rows of either factor that a parameter needs are made.

    The size of the decoder does not depend on the width of the networks, whose weights need not be tiled. There is no
    second decoder for vectors and no class layer: a vector is the matrix's first column, a classifier head a matrix.
    """

    last = ("weights",)
    wide = ("seeds",)
    shrunk = False

    def __init__(self, config: GHNConfig) -> None:
        super().__init__(config)
        self.rank = config.rank
        self.factor_rows = config.factor_rows
        self.hidden = nn.Linear(config.hid, 4 * config.hid)
        self.mix = nn.Linear(4 * config.hid, 8 * config.hid)
        self.seeds = nn.Linear(8 * config.hid, 2 * config.rank**2)
        self.weights = nn.Linear(config.rank, config.factor_rows)

    def features(self, states: Tensor) -> Tensor:
        """(blocks, 8 hid) from node states (blocks, hid)."""
        return F.relu(self.mix(F.relu(self.hidden(states))))

    def block_size(self, target: Target) -> Size:
        """As `BlockDecoder.block_size`; tables of positions are not limited to the channels of the largest block."""
        channels = max(self.max_shape[1], self.factor_rows // target.shape[3]) if target.table else self.max_shape[1]
        return target.block_size((self.max_shape[0], channels, *self.max_shape[2:]))

    def blocks(self, states: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
        """As `BlockDecoder.blocks`."""
        features = self.features(states)
        made = [self.made(size) for size in sizes]
        left = self._first_rows(features, LEFT, [out * height for out, _, height, _ in made])
        right = self._first_rows(features, RIGHT, [inner * width for _, inner, _, width in made])
        decoded: list[Tensor] = [states] * len(sizes)
        for (out, inner, height, width), members in grouped(made).items():
            rows = torch.stack([left[member] for member in members])
            columns = torch.stack([right[member] for member in members])
            products = (rows @ columns.transpose(1, 2)).view(-1, out, height, inner, width)
            for member, block in zip(members, products.transpose(2, 3).unbind(0), strict=True):
                decoded[member] = enlarged(block, *sizes[member][2:])
        return decoded

    def class_blocks(self, states: Tensor, inner: Sequence[int]) -> list[Tensor]:
        """As `BlockDecoder.class_blocks`, with at most as many classes as the largest block has out channels."""
        classes = min(self.num_classes, self.max_shape[0])
        blocks = self.blocks(states, [(classes, channels, 1, 1) for channels in inner])
        return [block[:, :, 0, 0] for block in blocks]

    def rows(self, states: Tensor, wanted: Sequence[Target]) -> Tensor:
        """As `VectorSource.rows`."""
        features = self.features(states)
        lengths = [min(target.shape[0], self.max_shape[0]) for target in wanted]
        firsts = [
            0 if target.row == FACTOR else second_vector(length, self.max_shape[0])
            for target, length in zip(wanted, lengths, strict=True)
        ]
        column = self.factor(features, RIGHT, 0, 1).transpose(1, 2)
        places = torch.tensor(firsts, device=states.device)[:, None] + torch.arange(max(lengths), device=states.device)
        order, parts = [], []
        for members, left in self.factors(features, LEFT, [a + b for a, b in zip(firsts, lengths, strict=True)]):
            index = torch.tensor(members, device=states.device)
            vectors = (left @ column[index]).squeeze(2)
            # places beyond a vector's own end are never looked at
            parts.append(vectors.gather(1, places[index].clamp(max=vectors.shape[1] - 1)))
            order += members
        return torch.cat(parts)[torch.tensor(order, device=states.device).argsort()]

    def made(self, size: Size) -> Size:
        """The size of a block before its kernels are interpolated, as those are that the factors are too short for."""
        out, inner, height, width = size
        if out * height > self.factor_rows:
            height = min(height, self.max_shape[2])
        if inner * width > self.factor_rows:
            width = min(width, self.max_shape[3])
        return out, inner, height, width

    def factors(self, features: Tensor, side: int, counts: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
        """At least the first rows of one factor of each block, for similar blocks together.

        Args:
            features: (blocks, 8 hid).
            side: `LEFT` or `RIGHT`.
            counts: how many rows are needed of each block's factor.

        Yields:
            Indices of some blocks, and their rows: (these blocks, rows, rank).
        """
        padded = [self._padded(count) for count in counts]
        for high, members in grouped([-(-count * self.rank // self.factor_rows) for count in padded]).items():
            seeds = self._seeds(features[torch.tensor(members, device=features.device)], side, 0, high)
            for count, places in grouped([padded[member] for member in members]).items():
                step = max(1, NUMBERS_AT_ONCE // (count * self.rank))
                for start in range(0, len(places), step):
                    some = places[start : start + step]
                    rows = self._rows_of(seeds[torch.tensor(some, device=features.device)], 0, count)
                    yield [members[place] for place in some], rows

    def factor(self, features: Tensor, side: int, first: int, last: int) -> Tensor:
        """The rows `first` to `last` of one factor of some blocks: (blocks, last - first, rank)."""
        low = first * self.rank // self.factor_rows
        high = -(-last * self.rank // self.factor_rows)
        seeds = self._seeds(features, side, low, high)
        return self._rows_of(seeds, first * self.rank - low * self.factor_rows, last - first)

    def _seeds(self, features: Tensor, side: int, low: int, high: int) -> Tensor:
        """The seeds `low` to `high` of one factor of some blocks: (blocks, high - low, rank)."""
        weight = self.seeds.weight.view(2, self.rank, self.rank, -1)[side, low:high].flatten(0, 1)
        bias = self.seeds.bias.view(2, self.rank, self.rank)[side, low:high].flatten()
        return F.relu(F.linear(features, weight, bias)).view(-1, high - low, self.rank)

    def _rows_of(self, seeds: Tensor, start: int, count: int) -> Tensor:
        """`count` rows of a factor, (blocks, count, rank), from the number `start` on that its seeds make."""
        weight, bias, numbers = self.weights.weight, self.weights.bias, slice(start, start + count * self.rank)
        if seeds.shape[1] == 1:
            made = F.linear(seeds[:, 0], weight[numbers], bias[numbers])
        else:
            made = F.linear(seeds, weight, bias).flatten(1)[:, numbers]
        return made.view(-1, count, self.rank)

    def _first_rows(self, features: Tensor, side: int, counts: Sequence[int]) -> list[Tensor]:
        found: list[Tensor] = [features] * len(counts)
        for members, rows in self.factors(features, side, counts):
            for member, factor in zip(members, rows.unbind(0), strict=True):
                found[member] = factor[: counts[member]]
        return found

    def _padded(self, count: int) -> int:
        """The number of rows halved as often as leaves enough: few different sizes serve all blocks."""
        enough = self.factor_rows
        while enough > 1 and (enough + 1) // 2 >= count:
            enough = (enough + 1) // 2
        return enough


def second_vector(length: int, largest: int) -> int:
    """Row of the matrix at which a node's offsets begin, after the factors: fixed by how LoGAH groups vectors.

    Args:
        length: of the vector.
        largest: of the vectors that are made before tiling.

    Returns:
        The length itself, or 4/3 of it if divisible by 3; but `largest` from half of that on.
    """
    grown = length // 3 * 4 if length % 3 == 0 else length
    return largest if 2 * grown >= largest else grown
