"""What a training run depends on."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a meta-training run; with the GHN's configuration, the pool and the images they determine it.

    Attributes:
        steps: optimiser steps.
        meta_batch: architectures a step, over all processes.
        batch_size: images an architecture.
        lr: peak learning rate of AdamW.
        matrix_lr: peak learning rate of Muon (Jordan et al., 2024) for the hidden matrices; None for AdamW there too.
        weight_decay: decoupled weight decay.
        warmup: steps of linear warm-up; a cosine to `final_lr` times the peak follows.
        final_lr: last learning rate, as a share of the peak.
        clip: largest norm of the GHN's gradient.
        network_clip: largest norm of the loss's gradient by one network's predicted parameters.
        penalty: weight of the mean of the norms of predicted tensors (Knyazev et al., 2023, section 4).
        ema: decay of the moving average of the GHN's weights.
        pad: largest random shift of the images, in pixels.
        cost_power: architectures are drawn with a probability proportional to (nodes)^-cost_power.
        seed: of everything random.
    """

    steps: int
    meta_batch: int = 8
    batch_size: int = 32
    lr: float = 1e-3
    matrix_lr: float | None = None
    weight_decay: float = 1e-2
    warmup: int = 200
    final_lr: float = 0.02
    clip: float = 5.0
    network_clip: float = 1.0
    penalty: float = 0.0
    ema: float = 0.998
    pad: int = 4
    cost_power: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "meta_batch", "batch_size", "lr", "clip", "network_clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema} must be at least 0 and less than 1")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types."""
        return dataclasses.asdict(self)
