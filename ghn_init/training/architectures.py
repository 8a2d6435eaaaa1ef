"""Which architectures a step trains on: a function of the settings, the step and the place in the meta-batch alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from ghn_init.deepnets import AnyArchitecture, Classic, sample, stream
from ghn_init.errors import TrainingError
from ghn_init.training.config import ArchitectureConfig

#: Candidates that cheap networks are preferred among.
CANDIDATES = 4
#: Draws after which the limits on architectures count as impossible.
ATTEMPTS = 1000
#: Widths and stages of classic networks where the settings name no widths.
CLASSIC_WIDTHS = (16, 24, 32, 48, 64)
CLASSIC_STAGES = (3, 4)
#: Most blocks of a stage of a classic network, by kind of block.
CLASSIC_DEPTHS = {"plain": 3, "basic": 2, "bottleneck": 2}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """An architecture that was drawn for training.

    Attributes:
        name: where it comes from: "deepnets/<index>", "classic/<number>" or "timm/<index>", for messages.
        architecture: what it is.
        image_size: side of its training images.
    """

    name: str
    architecture: AnyArchitecture
    image_size: int

    @property
    def cost(self) -> float:
        """Approximate multiply-adds of a forward pass of one image."""
        return self.architecture.cost(self.image_size)

    @property
    def load(self) -> float:
        """Approximate time of a training step on CPU, in multiply-adds of plain convolutions."""
        return self.architecture.load(self.image_size)


class ArchitectureStream:
    """An endless, reproducible stream of training architectures.

    Args:
        config: their distribution.
        steps: steps of the whole run, which the curriculum is a share of.
        seed: of the choices; the architectures of an index do not depend on it.
    """

    def __init__(self, config: ArchitectureConfig, steps: int, seed: int) -> None:
        self.config = config
        self.steps = steps
        self.seed = seed

    def power(self, step: int) -> float:
        """How much cheap networks are preferred at `step`."""
        return self.config.cost_power * max(0.0, 1 - step / (self.config.curriculum * self.steps))

    def draw(self, step: int, place: int) -> Drawn:
        """The architecture at `place` of the meta-batch of `step`.

        Raises:
            TrainingError: no architecture keeps to the limits.
        """
        rng = stream("training", self.seed, step, place)
        power = self.power(step)
        if not power:
            return self._candidate(rng)
        candidates = [self._candidate(rng) for _ in range(CANDIDATES)]
        logits = -power * np.log([candidate.cost for candidate in candidates])
        weights = np.exp(logits - logits.max())
        return candidates[int(rng.choice(CANDIDATES, p=weights / weights.sum()))]

    def _candidate(self, rng: np.random.Generator) -> Drawn:
        config = self.config
        source = rng.random()
        if source < config.timm:
            return self._timm(rng)
        if source < config.timm + config.classic:
            return self._classic(rng)
        for _ in range(ATTEMPTS):
            index = int(rng.integers(config.count))
            architecture = sample("train", index)
            if architecture.n_cells <= config.max_cells:
                if config.widths:
                    architecture = architecture.with_width(int(rng.choice(config.widths)))
                return self._sized(f"deepnets/{index}", architecture)
        raise TrainingError(
            f"of {ATTEMPTS} architectures drawn from the first {config.count}, none has at most {config.max_cells} "
            "cells: raise max_cells or count"
        )

    def _timm(self, rng: np.random.Generator) -> Drawn:
        from ghn_init.deepnets import timm_architecture  # timm is slow to import

        families = self.config.timm_families
        family = str(rng.choice(families)) if families else None
        for _ in range(ATTEMPTS):
            index = int(rng.integers(self.config.count))
            architecture = timm_architecture(index)
            if family in (None, architecture.family):
                return self._sized(f"timm/{index}", architecture)
        raise TrainingError(
            f"of {ATTEMPTS} models of timm drawn from the first {self.config.count}, none is of the family {family}: "
            "raise count"
        )

    def _classic(self, rng: np.random.Generator) -> Drawn:
        block = str(rng.choice(list(CLASSIC_DEPTHS)))
        depths = rng.integers(1, CLASSIC_DEPTHS[block] + 1, int(rng.choice(CLASSIC_STAGES)))
        width = int(rng.choice(self.config.widths or CLASSIC_WIDTHS))
        architecture = Classic(block, tuple(int(depth) for depth in depths), width)  # type: ignore[arg-type]
        return self._sized(f"classic/{block}-{'-'.join(map(str, depths))}x{width}", architecture)

    def _sized(self, name: str, architecture: AnyArchitecture) -> Drawn:
        fixed = architecture.fixed_resolution
        return Drawn(name, architecture, self.config.fixed_image_size if fixed else self.config.image_size)
