"""Labelled images in memory."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ghn_init.training.data.statistics import statistics_of


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one size, on one device.

    What is left out is found from the images themselves.

    Attributes:
        pixels: uint8, (images, 3, height, width).
        labels: int64, (images,), at least 0; on the device of `pixels`.
        mean: of each channel, of pixels in [0, 1].
        std: standard deviation of each channel, likewise.
        num_classes: number of classes, more than the largest label.
        names: the classes' names; empty if unknown.
        skipped: bad images that were left out.
    """

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    num_classes: int = 0
    names: tuple[str, ...] = ()
    skipped: int = 0

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.dim() != 4 or self.pixels.shape[1] != 3:
            raise ValueError(f"pixels must be uint8 (n, 3, h, w), not {self.pixels.dtype} {tuple(self.pixels.shape)}")
        if self.labels.shape != self.pixels.shape[:1]:
            raise ValueError(f"{len(self.pixels)} images but labels of shape {tuple(self.labels.shape)}")
        if not self.mean or not self.std:
            mean, std = statistics_of(self.pixels)
            object.__setattr__(self, "mean", self.mean or mean)
            object.__setattr__(self, "std", self.std or std)
        if not self.num_classes:
            object.__setattr__(self, "num_classes", len(self.names) or int(self.labels.max()) + 1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.pixels.device

    def to(self, device: torch.device | str) -> Images:
        """The same images on `device`."""
        return dataclasses.replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images at `indices`, an int64 tensor on any device.

        Returns:
            uint8 (indices, 3, height, width) and int64 (indices,), on the images' device.
        """
        indices = indices.to(self.device, non_blocking=True)
        return self.pixels[indices], self.labels[indices]

    def subset(self, indices: Tensor | slice) -> Images:
        """The images at `indices`, with the statistics of all."""
        if isinstance(indices, Tensor):
            indices = indices.to(self.device)
        return dataclasses.replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def split(self, held_out: int, seed: int = 0) -> tuple[Images, Images]:
        """All but `held_out` random images, and these."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.subset(order[held_out:]), self.subset(order[:held_out])
