"""Image data sets that fit into memory, and their augmentation on tensors."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

#: Means and standard deviations of CIFAR-10's channels, of pixels in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

#: Names of the image column in the Hub's parquet files.
_IMAGE_COLUMNS = ("img", "image")


@dataclasses.dataclass(frozen=True)
class Images:
    """Labelled images of one size.

    Attributes:
        pixels: uint8, (images, 3, height, width).
        labels: int64, (images,).
    """

    pixels: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.dim() != 4 or self.pixels.shape[1] != 3:
            raise ValueError(f"pixels must be uint8 (n, 3, h, w), not {self.pixels.dtype} {tuple(self.pixels.shape)}")
        if self.labels.shape != self.pixels.shape[:1]:
            raise ValueError(f"{len(self.pixels)} images but labels of shape {tuple(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor | slice) -> Images:
        """The images at `indices`."""
        return Images(self.pixels[indices], self.labels[indices])

    def split(self, held_out: int, seed: int = 0) -> tuple[Images, Images]:
        """All but `held_out` random images, and these."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.subset(order[held_out:]), self.subset(order[:held_out])


def read_parquet(path: str | Path) -> Images:
    """Read a parquet file in the Hub's layout: a column `img` or `image` of encoded images, a column `label`.

    Raises:
        ValueError: a column is missing, or the images differ in size.
    """
    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(path)
    column = next((name for name in _IMAGE_COLUMNS if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise ValueError(f"{path} has columns {table.column_names}; needed are 'label' and one of {_IMAGE_COLUMNS}")
    arrays = [
        np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table.column(column).to_pylist()
    ]
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(f"the images of {path} differ in size: resize them first")
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return Images(pixels, torch.tensor(table.column("label").to_pylist(), dtype=torch.int64))


def normalise(pixels: Tensor, size: int | None = None) -> Tensor:
    """uint8 (n, 3, h, w) to float32 of zero mean and unit variance a channel, averaged down to `size` if given."""
    x = pixels.float().div_(255)
    if size is not None and size != x.shape[-1]:
        x = F.interpolate(x, size=(size, size), mode="area")
    mean = torch.tensor(CIFAR10_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(CIFAR10_STD).view(1, 3, 1, 1)
    return x.sub_(mean).div_(std)


def draw_batch(
    images: Images, batch_size: int, generator: torch.Generator, *, pad: int = 4, size: int | None = None
) -> tuple[Tensor, Tensor]:
    """A random batch with random shifts by up to `pad` pixels (zeros beyond the border) and random flips.

    Args:
        images: where to draw from, with replacement.
        batch_size: images to draw.
        generator: what decides.
        pad: largest shift; 0 for none.
        size: side of the returned images (averaged down); None for their own.

    Returns:
        float32 (batch, 3, size, size) and int64 (batch,).
    """
    chosen = torch.randint(len(images), (batch_size,), generator=generator)
    pixels = images.pixels[chosen]
    if pad:
        height, width = pixels.shape[2:]
        top, left = torch.randint(2 * pad + 1, (2, batch_size), generator=generator)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        flip = torch.rand(batch_size, generator=generator) < 0.5
        columns = torch.where(flip[:, None], columns.flip(1), columns)
        padded = F.pad(pixels, (pad, pad, pad, pad))
        pixels = padded[torch.arange(batch_size)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        pixels = pixels.permute(0, 3, 1, 2)
    return normalise(pixels, size), images.labels[chosen]
