"""Batches of images as networks take them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from ghn_init.training.data.images import Images
from ghn_init.training.data.statistics import CIFAR10_MEAN, CIFAR10_STD


def normalise(
    pixels: Tensor,
    size: int | None = None,
    mean: tuple[float, ...] = CIFAR10_MEAN,
    std: tuple[float, ...] = CIFAR10_STD,
) -> Tensor:
    """uint8 (n, 3, h, w) to float32 of about zero mean and unit variance a channel, on the same device.

    Args:
        pixels: the images.
        size: height and width of the result, averaged down; None for those of `pixels`.
        mean: to subtract from each channel, of pixels in [0, 1].
        std: to divide by afterwards.
    """
    x = pixels.float().div_(255)
    if size is not None and x.shape[2:] != (size, size):
        x = F.interpolate(x, size=(size, size), mode="area")
    return x.sub_(_channels(mean, x.device)).div_(_channels(std, x.device))


@functools.lru_cache(maxsize=64)
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """`values` as (1, 3, 1, 1); kept, since a copy to a GPU for every batch would make it wait."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


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
    pixels, labels = images.take(chosen)
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
    return normalise(pixels, size, images.mean, images.std), labels
