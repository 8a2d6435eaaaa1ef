"""Checkpoints: trained GHNs by name, from the Hub, from folders, and from the published files."""

from ghn_init.checkpoints.convert import convert, read_published
from ghn_init.checkpoints.folder import save
from ghn_init.checkpoints.info import CheckpointInfo, Source, read_info
from ghn_init.checkpoints.loading import Checkpoint, find, load
from ghn_init.checkpoints.registry import DEFAULT, known

__all__ = [
    "DEFAULT",
    "Checkpoint",
    "CheckpointInfo",
    "Source",
    "convert",
    "find",
    "known",
    "load",
    "read_info",
    "read_published",
    "save",
]
