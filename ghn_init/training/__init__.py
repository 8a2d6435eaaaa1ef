"""Meta-training of a GHN: `Run` is the whole of it, `ghn-init train` its command."""

from ghn_init.training.config import ArchitectureConfig, TrainConfig
from ghn_init.training.group import Group, joined
from ghn_init.training.presets import PRESETS, Preset
from ghn_init.training.run import Intervals, Run
from ghn_init.training.trainer import Trainer
from ghn_init.training.warm_start import warm_start

__all__ = [
    "PRESETS",
    "ArchitectureConfig",
    "Group",
    "Intervals",
    "Preset",
    "Run",
    "TrainConfig",
    "Trainer",
    "joined",
    "warm_start",
]
