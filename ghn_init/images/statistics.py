"""Means and standard deviations of images, and which data set they are of."""

from __future__ import annotations

import torch
from torch import Tensor

#: Means and standard deviations of CIFAR-10's channels, of pixels in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

#: Constants that the field uses, as (mean, standard deviation).
KNOWN = ((CIFAR10_MEAN, CIFAR10_STD),)

#: How near measured numbers must be to known ones for these to be taken; a test split is as near to its training split.
NEAR = 0.005

#: Images that statistics are measured on, at most: spread evenly over all.
SAMPLE = 65536

_CHUNK = 4096


def measure(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, as of pixels in [0, 1], to four decimals.

    Found from histograms, so that neither order nor device changes a bit. A channel without variation gets the
    standard deviation of one grey level, so that it can be divided by.

    Args:
        pixels: uint8 (n, 3, h, w), n >= 1; of more than `SAMPLE` images an even sample is taken.
    """
    pixels = pixels[:: -(-len(pixels) // SAMPLE)]
    counts = torch.zeros(3, 256, dtype=torch.int64)
    for chunk in torch.split(pixels, _CHUNK):
        counts += torch.stack([torch.bincount(chunk[:, c].flatten(), minlength=256) for c in range(3)]).cpu()
    values = torch.arange(256)
    count = pixels.numel() // 3
    mean, std = [], []
    for total, squares in zip((counts @ values).tolist(), (counts @ values**2).tolist(), strict=True):
        mean.append(round(total / count / 255, 4))
        variance = (squares * count - total**2) / (count * 255) ** 2
        std.append(round(max(variance**0.5, 1 / 255), 4))
    return tuple(mean), tuple(std)


def statistics_of(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The `KNOWN` mean and standard deviation that all lie within `NEAR` of the measured ones, else the measured."""
    measured = measure(pixels)
    for known in KNOWN:
        differences = (abs(a - b) for pair in zip(known, measured, strict=True) for a, b in zip(*pair, strict=True))
        if max(differences) < NEAR:
            return known
    return measured
