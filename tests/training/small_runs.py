"""Training runs that are small enough for tests."""

import torch

from ghn_init.hypernet import GHNConfig
from ghn_init.images import Images
from ghn_init.training.config import ArchitectureConfig, TrainConfig

#: Networks of a few thousand parameters.
SMALL = ArchitectureConfig(count=40, widths=(8,), max_cells=4, classic=0.5, image_size=8, fixed_image_size=8)
GHN_CONFIG = GHNConfig(max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2)


def coloured(count=64, size=16):
    """Two classes that the mean colour tells apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 100, (count, 3, size, size), generator=generator) + 100 * labels[:, None, None, None]
    return Images(pixels.to(torch.uint8), labels, num_classes=10)


def small_config(**changes):
    settings = {
        "steps": 6,
        "meta_batch": 3,
        "batch_size": 8,
        "lr": 3e-3,
        "warmup": 2,
        "augment": "none",
        "ema": 0.5,
        "validation": 16,
        "eval_networks": 2,
        "eval_images": 16,
        "architectures": SMALL,
    }
    return TrainConfig(**{**settings, **changes})


def weights(ghn):
    return torch.cat([parameter.detach().flatten() for parameter in ghn.parameters()])
