"""Optimisers and their schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ghn_init.hypernet import GHN
from ghn_init.training.config import TrainConfig


def make_optimisers(ghn: GHN, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the weights of hidden linear layers and AdamW for the rest.

    Embeddings, vectors and the last layers, whose rows are the predicted weights themselves, are not hidden matrices;
    nor is the map from a state to all places of a kernel, which is many matrices in one and far the largest.
    """
    matrices = _hidden_matrices(ghn) if config.matrix_lr else []
    taken = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in ghn.parameters() if id(parameter) not in taken]
    decayed = [parameter for parameter in rest if parameter.dim() > 1]
    plain = [parameter for parameter in rest if parameter.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    ]
    if matrices:
        muon = torch.optim.Muon(
            matrices, lr=config.matrix_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        optimisers.append(muon)
    return optimisers


def _hidden_matrices(ghn: GHN) -> list[torch.Tensor]:
    others = {id(layer) for layer in (*ghn.last_layers, *ghn.wide_layers)}
    return [part.weight for part in ghn.modules() if isinstance(part, nn.Linear) and id(part) not in others]


def make_schedules(optimisers: list[torch.optim.Optimizer], config: TrainConfig) -> list[LambdaLR]:
    """Linear warm-up, then what `TrainConfig.schedule` says."""

    def cosine(step: int) -> float:
        progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
        return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))

    def wsd(step: int) -> float:
        cooldown = max(1.0, config.cooldown * config.steps)
        progress = min(1.0, max(0.0, (step - config.steps) / cooldown + 1))
        return 1 - (1 - config.final_lr) * progress

    after = {"cosine": cosine, "wsd": wsd}[config.schedule]

    def factor(step: int) -> float:
        return (step + 1) / config.warmup if step < config.warmup else after(step)

    return [LambdaLR(optimiser, factor) for optimiser in optimisers]
