"""Images normalised as those that a GHN was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ghn_init.checkpoints import CheckpointInfo, known, read_info
from ghn_init.checkpoints.info import CONFIG_FILE
from ghn_init.images import Images, ImageSet


def as_trained(images: ImageSet, checkpoint: str) -> ImageSet:
    """`images` with the mean, standard deviation and number of classes of a checkpoint's training images.

    Args:
        images: any images.
        checkpoint: a known name or a checkpoint's folder. Others, and those that do not say, leave `images` as they
            are: with statistics of their own.

    Raises:
        CheckpointError: the folder's configuration is damaged.
    """
    info = _info(checkpoint)
    data = None if info is None else info.training.get("data")
    if not isinstance(data, Mapping) or not {"mean", "std", "classes"} <= data.keys():
        return images
    blank = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    classes = max(int(data["classes"]), images.num_classes)
    training = Images(
        blank, torch.zeros(1, dtype=torch.int64), tuple(data["mean"]), tuple(data["std"]), classes, images.names
    )
    return images.like(training)


def _info(checkpoint: str) -> CheckpointInfo | None:
    if checkpoint in (infos := known()):
        return infos[checkpoint]
    path = Path(checkpoint) / CONFIG_FILE
    return read_info(path) if path.is_file() else None
