"""Decoders: convolutional (GHN-2, GHN-3), multilayer perceptron (GHN-1), vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.sliced import sliced_linear
from ghn_init.hypernet.targets import Target
from ghn_init.hypernet.tiling import enlarged, split_rows, window

#: (out channels, in channels, height, width)
Size = tuple[int, int, int, int]
#: (top, bottom, left, right), the latter of each past the last
Window = tuple[int, int, int, int]
Key = TypeVar("Key", bound=Hashable)


class BlockDecoder(nn.Module, ABC):
    """What the decoders of blocks have in common.

    Attributes:
        last: names of the layers whose output is the predicted weights.
        wide: names of the other layers that are many small matrices in one.
        shrunk: whether the last layers start out small (`initialise.shrink`).
    """

    last: ClassVar[tuple[str, ...]] = ("weights", "classes")
    wide: ClassVar[tuple[str, ...]] = ()
    shrunk: ClassVar[bool] = True

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.max_shape = config.max_shape
        self.centred = config.centred_kernels
        self.num_classes = config.num_classes

    def window(self, size: Size) -> Window:
        """The places of a block of this size in the largest kernel."""
        vertical = window(self.max_shape[2], size[2], self.centred)
        return *vertical, *window(self.max_shape[3], size[3], self.centred)

    def block_size(self, target: Target) -> Size:
        """The size of the block that is made for a target, before it is tiled."""
        return target.block_size(self.max_shape)

    @abstractmethod
    def blocks(self, states: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
        """Decodes blocks.

        Args:
            states: (blocks, hid).
            sizes: for each block its size; the channels are at most those of `GHNConfig.max_shape`.

        Returns:
            For each block a tensor of its size.
        """

    @abstractmethod
    def class_blocks(self, states: Tensor, inner: Sequence[int]) -> list[Tensor]:
        """Weights of classifier heads.

        Args:
            states: (heads, hid).
            inner: for each head its in channels, at most those of `GHNConfig.max_shape`.

        Returns:
            For each head a tensor (classes, in channels).
        """


class ConvDecoder(BlockDecoder):
    """Turns a node state into a map of hidden features over the largest kernel, and each place into its weights.

    Knyazev et al., 2021, section 4.3 and appendix B; Knyazev et al., 2023, section 3.2, for centred kernels. Only the
    places and channels that a parameter needs are computed: both linear maps are cut to them first.
    """

    wide = ("places",)

    def __init__(self, config: GHNConfig) -> None:
        super().__init__(config)
        out, inner, height, width = config.max_shape
        self.places = nn.Linear(config.hid, 4 * config.hid * height * width)
        self.mix = nn.Linear(4 * config.hid, 8 * config.hid)
        self.weights = nn.Linear(8 * config.hid, out * inner)
        self.classes = nn.Linear(out, config.num_classes)

    def blocks(self, states: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
        """As `BlockDecoder.blocks`."""
        windows = [self.window(size) for size in sizes]
        features = self.features(states, windows)
        by_channels = grouped([(self._padded(size[0], 0), self._padded(size[1], 1)) for size in sizes])
        decoded: list[Tensor] = [states] * len(sizes)
        flats = sliced_linear(
            *self.channel_slice(*self.max_shape[:2]),
            [(slice(out), slice(inner)) for out, inner in by_channels],
            [torch.cat([features[member] for member in members]) for members in by_channels.values()],
        )
        for ((out, inner), members), flat in zip(by_channels.items(), flats, strict=True):
            parts = split_rows(flat, [features[member].shape[0] for member in members])
            for member, part in zip(members, parts, strict=True):
                size, (top, bottom, left, right) = sizes[member], windows[member]
                block = part.view(bottom - top, right - left, out, inner)[:, :, : size[0], : size[1]]
                decoded[member] = enlarged(block.permute(2, 3, 0, 1), size[2], size[3])
        return decoded

    def class_blocks(self, states: Tensor, inner: Sequence[int]) -> list[Tensor]:
        """As `BlockDecoder.class_blocks`."""
        blocks = self.blocks(states, [(self.max_shape[0], channels, 1, 1) for channels in inner])
        return [self.classes(F.relu(block[:, :, 0, 0].t())).t() for block in blocks]

    def channel_slice(self, out: int, inner: int) -> tuple[Tensor, Tensor]:
        """Weight (out, in, features) and bias (out, in) of the last layer, cut to the first channels: views."""
        largest_out, largest_in = self.max_shape[:2]
        weight = self.weights.weight.view(largest_out, largest_in, -1)[:out, :inner]
        return weight, self.weights.bias.view(largest_out, largest_in)[:out, :inner]

    def features(self, states: Tensor, windows: Sequence[Window]) -> list[Tensor]:
        """For each state the hidden features of the places in its window, row by row: (places, 8 hid)."""
        side, wide = self.max_shape[2:], self.mix.in_features
        weight = self.places.weight.view(wide, *side, -1).permute(1, 2, 0, 3)
        bias = self.places.bias.view(wide, *side).permute(1, 2, 0)
        by_window = grouped(windows)
        found = sliced_linear(
            weight,
            bias,
            [(slice(top, bottom), slice(left, right)) for top, bottom, left, right in by_window],
            [states[members] for members in by_window.values()],
        )
        maps = [F.relu(rows).view(-1, wide) for rows in found]
        mixed = F.relu(self.mix(torch.cat(maps)))
        order = [member for members in by_window.values() for member in members]
        places = [
            (windows[member][1] - windows[member][0]) * (windows[member][3] - windows[member][2]) for member in order
        ]
        parts = dict(zip(order, split_rows(mixed, places), strict=True))
        return [parts[member] for member in range(len(windows))]

    def _padded(self, channels: int, dimension: int) -> int:
        """The largest number of channels halved as often as leaves enough: few different slices serve all blocks."""
        enough = self.max_shape[dimension]
        while enough > 1 and (enough + 1) // 2 >= channels:
            enough = (enough + 1) // 2
        return enough


class MLPDecoder(BlockDecoder):
    """Two linear layers from a node state to the largest block: GHN-1 (Zhang et al., 2019; Knyazev et al., 2021)."""

    def __init__(self, config: GHNConfig) -> None:
        super().__init__(config)
        out, inner, height, width = config.max_shape
        self.hidden = nn.Linear(config.hid, 2 * config.hid)
        self.weights = nn.Linear(2 * config.hid, out * inner * height * width)
        self.classes = nn.Linear(2 * config.hid, config.num_classes * out)

    def blocks(self, states: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
        """As `BlockDecoder.blocks`."""
        hidden = F.relu(self.hidden(states))
        weight = self.weights.weight.view(*self.max_shape, -1)
        bias = self.weights.bias.view(self.max_shape)
        decoded: list[Tensor] = [states] * len(sizes)
        for size, members in grouped(sizes).items():
            top, bottom, left, right = self.window(size)
            part = (slice(size[0]), slice(size[1]), slice(top, bottom), slice(left, right))
            local = F.linear(hidden[members], weight[part].reshape(-1, weight.shape[-1]), bias[part].reshape(-1))
            blocks = local.view(len(members), *bias[part].shape).unbind(0)
            for member, block in zip(members, blocks, strict=True):
                decoded[member] = enlarged(block, size[2], size[3])
        return decoded

    def class_blocks(self, states: Tensor, inner: Sequence[int]) -> list[Tensor]:
        """As `BlockDecoder.class_blocks`."""
        flat = self.classes(F.relu(self.hidden(states))).view(len(inner), self.num_classes, -1)
        return [block[:, :channels] for block, channels in zip(flat.unbind(0), inner, strict=True)]


class VectorSource(Protocol):
    """What decodes one-dimensional parameters."""

    def rows(self, states: Tensor, wanted: Sequence[Target]) -> Tensor:
        """Vectors before their normalisation.

        Args:
            states: (targets, hid).
            wanted: the targets: all of kind "vector", or all of kind "class_vector".

        Returns:
            (targets, longest): from the first column on, each target's numbers, as many as are made before tiling.
        """
        ...


class VectorDecoder(nn.Module):
    """Two linear layers from a node state to a row of factors and a row of offsets, for one-dimensional parameters."""

    def __init__(self, config: GHNConfig) -> None:
        super().__init__()
        self.length = max(config.max_shape[:2])
        self.hidden = nn.Linear(config.hid, 2 * config.hid)
        self.out = nn.Linear(2 * config.hid, 2 * self.length)
        self.classes = nn.Linear(self.length, config.num_classes)

    def forward(self, states: Tensor) -> Tensor:
        """(nodes, 2, length) for node states (nodes, hid); the rows are `FACTOR` and `OFFSET`."""
        decoded: Tensor = self.out(F.relu(self.hidden(states)))
        return decoded.view(-1, 2, self.length)

    def rows(self, states: Tensor, wanted: Sequence[Target]) -> Tensor:
        """As `VectorSource.rows`."""
        row = torch.tensor([target.row for target in wanted], device=states.device)
        vectors: Tensor = self(states)[torch.arange(len(wanted), device=states.device), row]
        if wanted[0].kind == "class_vector":
            vectors = self.classes(F.relu(vectors))
        return vectors


def grouped(keys: Sequence[Key]) -> dict[Key, list[int]]:
    """The places at which each different key occurs."""
    groups: dict[Key, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return groups
