"""Labelled images in memory, and what they share with images that are decoded on demand."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from typing import TypeVar

import torch
from torch import Tensor

from ghn_init.errors import DataError
from ghn_init.images.statistics import statistics_of

#: Images whose pixels go into a fingerprint, spread evenly over all.
_FINGERPRINTED = 16

Set = TypeVar("Set", bound="ImageSet")


class ImageSet(abc.ABC):
    """Labelled images of one size, whose batches come out on one device.

    Attributes:
        labels: int64, (images,), at least 0.
        mean: of each channel, of pixels in [0, 1].
        std: standard deviation of each channel, likewise.
        num_classes: number of classes, more than the largest label.
        names: the classes' names; empty if unknown.
    """

    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {self.num_classes} classes, on {self.device})"

    @property
    @abc.abstractmethod
    def device(self) -> torch.device:
        """Where batches come out."""

    @property
    def side(self) -> int:
        """Height and width of the images, in pixels.

        Raises:
            DataError: these differ.
        """
        height, width = self.take(torch.tensor([0]))[0].shape[2:]
        if height != width:
            raise DataError(f"the images are of {width} x {height} pixels: choose a side, image_size or --image-size")
        return int(height)

    @property
    @abc.abstractmethod
    def skipped(self) -> int:
        """Bad images that were left out so far."""

    @abc.abstractmethod
    def to(self: Set, device: torch.device | str) -> Set:
        """The same images on `device`."""

    @abc.abstractmethod
    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images at `indices`, an int64 tensor on any device.

        Returns:
            uint8 (indices, 3, height, width) and int64 (indices,), on the images' device.
        """

    @abc.abstractmethod
    def subset(self: Set, indices: Tensor | slice) -> Set:
        """The images at `indices`, with the statistics of all."""

    @abc.abstractmethod
    def like(self: Set, other: ImageSet) -> Set:
        """The same images with the statistics and classes of `other`, as a test set has those of its training set.

        Raises:
            DataError: the two differ in the names of their classes, or there are labels that `other` has not.
        """

    def split(self: Set, held_out: int, seed: int = 0) -> tuple[Set, Set]:
        """All but `held_out` random images, and these.

        Raises:
            DataError: no image would be left.
        """
        if not 0 <= held_out < len(self):
            raise DataError(f"cannot hold out {held_out} of {len(self)} images: hold out fewer")
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.subset(order[held_out:]), self.subset(order[:held_out])

    @property
    def fingerprint(self) -> str:
        """A short hash of number, size and labels of the images and of some of their pixels."""
        places = torch.linspace(0, len(self) - 1, min(_FINGERPRINTED, len(self))).long()
        pixels, _ = self.take(places)
        digest = hashlib.blake2b(repr((len(self), tuple(pixels.shape[1:]))).encode(), digest_size=8)
        for tensor in (self.labels, pixels):
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _classes_of(self, other: ImageSet) -> None:
        """Refuse to take over the classes of `other` where they are others."""
        if self.names and other.names and self.names != other.names:
            raise DataError(f"the classes differ: {', '.join(self.names)} here, {', '.join(other.names)} there")
        if len(self) and int(self.labels.max()) >= other.num_classes:
            raise DataError(f"label {int(self.labels.max())}, where the other images have {other.num_classes} classes")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Images(ImageSet):
    """Labelled images in memory.

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
            raise DataError(f"pixels must be uint8 (n, 3, h, w), not {self.pixels.dtype} {tuple(self.pixels.shape)}")
        if self.labels.shape != self.pixels.shape[:1]:
            raise DataError(f"{len(self.pixels)} images but labels of shape {tuple(self.labels.shape)}")
        if not len(self.pixels) and not (self.mean and self.std and self.num_classes):
            raise DataError("there is not one image")
        if not self.mean or not self.std:
            mean, std = statistics_of(self.pixels)
            object.__setattr__(self, "mean", self.mean or mean)
            object.__setattr__(self, "std", self.std or std)
        if not self.num_classes:
            object.__setattr__(self, "num_classes", len(self.names) or int(self.labels.max()) + 1)

    @property
    def device(self) -> torch.device:
        """Where batches come out."""
        return self.pixels.device

    def to(self, device: torch.device | str) -> Images:
        """The same images on `device`."""
        return dataclasses.replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images at `indices`, on any device: uint8 (indices, 3, height, width), int64 (indices,)."""
        indices = indices.to(self.device, non_blocking=True)
        return self.pixels[indices], self.labels[indices]

    def subset(self, indices: Tensor | slice) -> Images:
        """The images at `indices`, with the statistics of all."""
        if isinstance(indices, Tensor):
            indices = indices.to(self.device)
        return dataclasses.replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def like(self, other: ImageSet) -> Images:
        """The same images with the statistics and classes of `other`."""
        self._classes_of(other)
        return dataclasses.replace(
            self, mean=other.mean, std=other.std, num_classes=other.num_classes, names=other.names
        )
