"""Published files, which are pickles, as checkpoints: safetensors with a configuration."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from ghn_init.checkpoints.folder import save
from ghn_init.checkpoints.infer import infer_config
from ghn_init.checkpoints.info import CheckpointInfo
from ghn_init.checkpoints.keys import renamed
from ghn_init.checkpoints.legacy import LegacyCheckpoint, peek_legacy, read_legacy
from ghn_init.checkpoints.untrusted import brief
from ghn_init.checkpoints.weights import build, skeleton
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHN, GHNConfig


def read_published(path: str | os.PathLike[str]) -> GHN:
    """The GHN in a published file (GHN-1, GHN-2, GHN-3; joblib's or PyTorch's format), without unpickling it.

    Args:
        path: the file.

    Returns:
        The GHN, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: not such a file, damaged, or not finite; the tensor is named.
        UnsafeCheckpointError: holds something other than data.
    """
    config, tensors = _understood(read_legacy(path), path)
    return build(config, tensors, os.fspath(path))


def peek_published(path: str | os.PathLike[str]) -> GHNConfig:
    """The architecture of the GHN in a published file, by the names and shapes of its tensors; none is read.

    Raises:
        CheckpointError: as for `read_published`.
    """
    config, tensors = _understood(peek_legacy(path), path)
    return skeleton(config, tensors, os.fspath(path)).config


def convert(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    info: CheckpointInfo | None = None,
    *,
    overwrite: bool = False,
) -> CheckpointInfo:
    """Converts a published file to a checkpoint's folder.

    Args:
        path: the published file.
        folder: where to; made if it is missing.
        info: what is known besides the weights; by default the file's own name.
        overwrite: whether a checkpoint in `folder` may be replaced.

    Returns:
        The ``config.json`` that was written.

    Raises:
        CheckpointError: as for `read_published`, or the folder cannot be written.
    """
    ghn = read_published(path)
    known = info or CheckpointInfo(name=Path(path).stem, description=f"Converted from {Path(path).name}.")
    return save(ghn, folder, known, overwrite=overwrite)


def _understood(checkpoint: LegacyCheckpoint, path: str | os.PathLike[str]) -> tuple[GHNConfig, dict[str, Tensor]]:
    """The architecture that the tensors of a file are of, and these under the names that `GHN` has."""
    try:
        tensors = renamed(checkpoint.tensors)
        config = infer_config(tensors, checkpoint.config)
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {brief(str(error))}.") from error
    return config, tensors
