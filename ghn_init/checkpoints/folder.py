"""A checkpoint as a folder, laid out as its Hub repository is: config.json, model.safetensors, README.md."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from safetensors.torch import save_file

from ghn_init.atomic import write_together
from ghn_init.checkpoints.card import card
from ghn_init.checkpoints.info import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, CheckpointInfo, read_info
from ghn_init.checkpoints.untrusted import inside, open_regular
from ghn_init.checkpoints.weights import build, read_safetensors
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHN


def save(
    ghn: GHN,
    folder: str | os.PathLike[str],
    info: CheckpointInfo,
    *,
    overwrite: bool = False,
    own_results_only: bool = False,
) -> CheckpointInfo:
    """Writes a GHN as a checkpoint: ``config.json``, ``model.safetensors`` and a model card, the weights in float32.

    All files are written before the first takes its place; ``config.json`` comes last, so that a folder that has one
    is whole.

    Args:
        ghn: the GHN; its own configuration is written.
        folder: where to; made if it is missing.
        info: name, description, licence, training and evaluation. Size and digest are filled in here.
        overwrite: whether an existing checkpoint in the folder may be replaced.
        own_results_only: whether to leave out an evaluation and statistics of other weights than those with the digest
            in `info`.

    Returns:
        The info as it was written.

    Raises:
        CheckpointError: the folder holds a checkpoint already, or cannot be written.
    """
    folder = Path(folder)
    if not overwrite and (folder / CONFIG_FILE).exists():
        raise CheckpointError(f"{folder}: holds a checkpoint already; choose another folder, or ask to overwrite it.")
    state = {name: tensor.detach().cpu().float().contiguous() for name, tensor in ghn.state_dict().items()}
    info = dataclasses.replace(info, ghn=ghn.config)
    try:
        info.to_json()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: not written: what is said of {info.name} is no JSON: {error}.") from error

    def write_weights(path: Path) -> None:
        nonlocal info
        save_file(state, path, metadata={"format": "pt"})
        found = digest(path)
        if own_results_only and found != info.sha256:
            info = dataclasses.replace(info, evaluation={}, familiarity={})
        info = dataclasses.replace(info, file=WEIGHTS_FILE, size=path.stat().st_size, sha256=found)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_together(
            folder,
            {
                WEIGHTS_FILE: write_weights,
                CARD_FILE: lambda path: path.write_text(card(info), encoding="utf-8", newline=""),
                CONFIG_FILE: lambda path: path.write_text(info.to_json(), encoding="utf-8", newline=""),
            },
        )
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}.") from error
    return info


def read_folder(folder: Path) -> GHN:
    """The GHN in a checkpoint's folder, in evaluation mode on the CPU.

    Raises:
        CheckpointError: not a checkpoint's folder, or its files contradict each other.
        UnsafeCheckpointError: one of its files is a link that leads out of the folder.
    """
    config = inside(folder, CONFIG_FILE)
    if not config.is_file():
        raise CheckpointError(f"{folder}: no {CONFIG_FILE} in it; a checkpoint's folder holds that and {WEIGHTS_FILE}.")
    info = read_info(config)
    if info.file is None:
        raise CheckpointError(f"{config}: names no weights ('file').")
    return read_pair(info, config, inside(folder, info.file))


def read_pair(info: CheckpointInfo, config: Path, weights: Path) -> GHN:
    """The GHN of a configuration and the file of its weights; errors as for `read_folder`.

    Args:
        info: the configuration.
        config: the file that it was read from, for error messages.
        weights: the safetensors file.
    """
    if info.ghn is None:
        raise CheckpointError(f"{config}: says nothing of the GHN's architecture ('ghn').")
    if not weights.is_file():
        raise CheckpointError(f"{weights}: missing, though {config} names it.")
    size = weights.stat().st_size
    if info.size not in (None, size):
        raise CheckpointError(f"{weights}: {size} bytes, not {info.size}; its download or copy may be incomplete.")
    ghn = build(info.ghn, read_safetensors(weights), str(weights))
    ghn.info = info
    return ghn


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(2**20):
            sha256.update(chunk)
    return sha256.hexdigest()
