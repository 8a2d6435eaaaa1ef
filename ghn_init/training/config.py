"""What a training run depends on, besides the GHN's architecture and the images."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal

from ghn_init.deepnets.timm_families import FAMILIES
from ghn_init.images import AUGMENTS

Schedule = Literal["cosine", "wsd"]
Precision = Literal["float32", "bfloat16"]

#: The number of training architectures of DeepNets-1M (Knyazev et al., 2021, section 3.1).
DEEPNETS_1M = 1_000_000


@dataclasses.dataclass(frozen=True)
class ArchitectureConfig:
    """The distribution of training architectures.

    Attributes:
        count: distinct architectures of the DeepNets train split.
        widths: widths that replace the split's own, drawn evenly; empty to keep the split's.
        max_cells: leave out networks with more cells.
        classic: share of plain and residual networks.
        timm: share of timm's own models at varied width and depth.
        timm_families: which of them, keys of `ghn_init.deepnets.timm_families.FAMILIES` such as vit, drawn evenly, so
            that a name given twice counts twice; empty for all.
        image_size: side of the training images for networks that take any size.
        fixed_image_size: side for networks that take images of one size only (attention, flattened feature maps).
        cost_power: cheap networks first: at the start, of several candidates one is taken with a probability
            proportional to its cost to the power of minus this; the power falls linearly and is 0 at the end of the
            curriculum.
        curriculum: length of the curriculum as a share of the run's steps; above 1, the power never gets down to 0.

    Raises:
        ValueError: an impossible setting, named.
    """

    count: int = DEEPNETS_1M
    widths: tuple[int, ...] = ()
    max_cells: int = 18
    classic: float = 0.0
    timm: float = 0.0
    timm_families: tuple[str, ...] = ()
    image_size: int = 32
    fixed_image_size: int = 32
    cost_power: float = 0.0
    curriculum: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, "count", "max_cells", "image_size", "fixed_image_size", "curriculum")
        shares = (self.classic, self.timm)
        if not (min(shares) >= 0 and sum(shares) <= 1):  # nor where one is not a number
            raise ValueError(f"classic={self.classic} and timm={self.timm} must be shares that sum to at most 1")
        if not 0 <= self.cost_power < math.inf:
            raise ValueError(f"cost_power={self.cost_power} must be finite and not negative")
        if any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"widths={self.widths} must be positive multiples of 8")
        if unknown := sorted(set(self.timm_families) - FAMILIES.keys()):
            raise ValueError(f"timm_families={unknown} are unknown; known are {', '.join(FAMILIES)}")
        if self.timm_families and not self.timm:
            raise ValueError("timm_families needs a share of timm's models: timm=0 draws none")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types; `from_dict` reads them back."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArchitectureConfig:
        """Inverse of `to_dict`."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a meta-training run; with the GHN's configuration and the images they determine it.

    Attributes:
        steps: optimiser steps.
        meta_batch: architectures a step, over all processes.
        batch_size: images an architecture.
        lr: peak learning rate of AdamW.
        matrix_lr: peak learning rate of Muon (Jordan et al., 2024) for the hidden matrices; 0 for AdamW there too.
        weight_decay: decoupled weight decay.
        warmup: steps of linear warm-up.
        schedule: what follows: "cosine" down to `final_lr` times the peak, or "wsd": constant, then linear down to that
            over the last `cooldown` of the steps (Hu et al., 2024); such a run can be made longer before its cooldown.
        final_lr: last learning rate, as a share of the peak.
        cooldown: share of the steps.
        clip: largest norm of the GHN's gradient.
        network_clip: largest norm of the loss's gradient by one network's predicted parameters.
        penalty: weight of the mean of the norms of predicted tensors (Knyazev et al., 2023, section 4).
        label_smoothing: probability that is spread evenly over the classes.
        augment: name of a preset of `ghn_init.images.AUGMENTS`.
        ema: decay of the moving average of the GHN's weights, which is what is evaluated and exported.
        precision: of the networks and of the GNN's matrix products; weights and decoding stay float32.
        decoder_gain: factor on the decoder's initial last layers.
        validation: training images that are kept out for validation.
        eval_networks: unseen architectures of the val split that are evaluated during training; 0 for none.
        eval_images: validation images a network.
        seed: of everything random.
        architectures: the distribution of training architectures.

    Raises:
        ValueError: an impossible setting, named.
    """

    steps: int
    meta_batch: int = 8
    batch_size: int = 64
    lr: float = 1e-3
    matrix_lr: float = 0.0
    weight_decay: float = 1e-2
    warmup: int = 200
    schedule: Schedule = "cosine"
    final_lr: float = 0.02
    cooldown: float = 0.2
    clip: float = 5.0
    network_clip: float = 1.0
    penalty: float = 0.0
    label_smoothing: float = 0.0
    augment: str = "standard"
    ema: float = 0.998
    precision: Precision = "float32"
    decoder_gain: float = 1.0
    validation: int = 5000
    eval_networks: int = 20
    eval_images: int = 256
    seed: int = 0
    architectures: ArchitectureConfig = dataclasses.field(default_factory=ArchitectureConfig)

    def __post_init__(self) -> None:
        _positive(
            self, "steps", "meta_batch", "batch_size", "lr", "clip", "network_clip", "decoder_gain", "eval_images"
        )
        for name in ("matrix_lr", "weight_decay", "warmup", "penalty", "validation", "eval_networks"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and not negative")
        for name in ("ema", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and less than 1")
        for name in ("final_lr", "cooldown"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be between 0 and 1")
        for name, kinds in (("schedule", Schedule), ("precision", Precision)):
            if getattr(self, name) not in typing.get_args(kinds):
                known = ", ".join(typing.get_args(kinds))
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; known are {known}")
        if self.augment not in AUGMENTS:
            raise ValueError(f"augment={self.augment!r} is unknown; known are {', '.join(AUGMENTS)}")
        if self.eval_networks and not self.validation:
            raise ValueError("eval_networks needs validation images: validation=0 keeps none")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types; `from_dict` reads them back."""
        data = dataclasses.asdict(self)
        return {**data, "architectures": self.architectures.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Inverse of `to_dict`."""
        return cls(**{**data, "architectures": ArchitectureConfig.from_dict(data["architectures"])})


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(f"{name}={getattr(config, name)} must be positive and finite")
