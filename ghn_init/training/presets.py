"""Settings to start from: the published recipes, and what trains within an hour on a laptop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ghn_init.hypernet import GHNConfig
from ghn_init.training.config import ArchitectureConfig, TrainConfig


@dataclasses.dataclass(frozen=True)
class Preset:
    """A GHN with a way to train it.

    Attributes:
        description: one line.
        ghn: keywords of `GHNConfig`.
        training: keywords of `TrainConfig`.
        architectures: keywords of `ArchitectureConfig`.
    """

    description: str
    ghn: Mapping[str, Any]
    training: Mapping[str, Any]
    architectures: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def configs(
        self, ghn: Mapping[str, Any], training: Mapping[str, Any], architectures: Mapping[str, Any]
    ) -> tuple[GHNConfig, TrainConfig]:
        """The preset's configurations, with some settings replaced.

        Raises:
            ValueError: impossible settings, named.
        """
        drawn = ArchitectureConfig(**{**self.architectures, **architectures})
        return GHNConfig(**{**self.ghn, **ghn}), TrainConfig(**{**self.training, **training, "architectures": drawn})


_TRANSFORMER = {"lr": 4e-4, "weight_decay": 1e-2, "warmup": 1000, "penalty": 3e-5, "augment": "standard"}
_EPOCH = 50_000 // 64

PRESETS: dict[str, Preset] = {
    "default": Preset(
        "the embedded default: small networks and images, two CPU cores",
        ghn={"hid": 64, "layers": 3, "max_shape": (32, 32, 11, 11)},
        training={
            "steps": 2000,
            "meta_batch": 12,
            "batch_size": 32,
            "lr": 3e-3,
            "matrix_lr": 2e-3,
            "warmup": 60,
            "schedule": "wsd",
            "ema": 0.995,
            "decoder_gain": 5.0,
        },
        architectures={
            "widths": (16, 16, 24, 32),
            "max_cells": 12,
            "classic": 0.15,
            "image_size": 16,
            "cost_power": 0.6,
        },
    ),
    "ghn2": Preset(
        "GHN-2 on CIFAR-10: 300 epochs of meta-batches of 8 (Knyazev et al., 2021, section 5)",
        ghn={"gnn": "gatedgnn", "hid": 32, "max_shape": (64, 64, 11, 11), "centred_kernels": False},
        training={"steps": 300 * _EPOCH, "lr": 1e-3, "weight_decay": 1e-5, "warmup": 0},
    ),
    "ghn3-t": Preset(
        "GHN-3-T on CIFAR-10: 75 epochs of meta-batches of 8 (Knyazev et al., 2023, section 4)",
        ghn={"hid": 64, "layers": 3, "max_shape": (64, 64, 11, 11)},
        training={"steps": 75 * _EPOCH, "precision": "bfloat16", **_TRANSFORMER},
    ),
    "logah-t": Preset(
        "LoGAH's low-rank decoder: wide networks without tiling (Zhou et al., 2024)",
        ghn={"hid": 64, "layers": 3, "decoder": "lowrank", "rank": 32, "max_shape": (2048, 2048, 16, 16)},
        training={"steps": 75 * _EPOCH, "precision": "bfloat16", **_TRANSFORMER, "lr": 3e-4},
    ),
    "tiny": Preset(
        "a trial that ends within minutes",
        ghn={"hid": 16, "layers": 1, "heads": 2, "max_shape": (16, 16, 7, 7)},
        training={"steps": 200, "meta_batch": 4, "batch_size": 32, "lr": 3e-3, "warmup": 20, "ema": 0.98},
        architectures={"widths": (8, 16), "max_cells": 5, "image_size": 16, "fixed_image_size": 16, "cost_power": 1.0},
    ),
}
