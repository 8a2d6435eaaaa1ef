"""From whatever names a checkpoint to the GHN."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import torch

from ghn_init.checkpoints import hub
from ghn_init.checkpoints.convert import read_published
from ghn_init.checkpoints.folder import digest, read_folder, read_pair, save
from ghn_init.checkpoints.info import CONFIG_FILE, CheckpointInfo, Source, read_info
from ghn_init.checkpoints.registry import DEFAULT, configs_folder, known, nearest
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHN

_log = logging.getLogger(__name__)

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+(@[\w.\-/]+)?")
_FILES = (".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".bin", ".safetensors", ".gz", ".xz")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found, but not read yet.

    Attributes:
        name: what to call it: a known name, a repository, or a path.
        origin: where it comes from, in words.
        read: reads (and fetches) it: a GHN in evaluation mode on the CPU.
    """

    name: str
    origin: str
    read: Callable[[], GHN]


def load(name_or_path: str | os.PathLike[str] | None = None, *, device: str | torch.device = "cpu") -> GHN:
    """A trained GHN, in evaluation mode, its weights checked to be finite.

    Args:
        name_or_path: None or "default" for the GHN that comes with the package; a known name (`known`), fetched from
            the Hub once; a Hub repository "user/name" or "user/name@revision" laid out like the folders of
            ``hub_configs``; a folder laid out so; a .safetensors file with its config.json beside it; a published file.
        device: where to put it.

    Raises:
        CheckpointError: there is no such checkpoint (the nearest known name is given), it cannot be fetched, or its
            files are damaged.
        UnsafeCheckpointError: a published file holds something other than data; none of it was run.
    """
    return find(name_or_path).read().to(device)


def find(name_or_path: str | os.PathLike[str] | None = None) -> Checkpoint:
    """Finds out what `load` would read; arguments as there.

    A known name wins over a file or folder of the same name in the current folder: write ``./name`` for that one.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    if name_or_path is None:
        name_or_path = DEFAULT
    if isinstance(name_or_path, str):
        infos = known()
        if name_or_path in infos:
            return _known(name_or_path, infos[name_or_path])
        if not Path(name_or_path).exists() and _is_repository(name_or_path):
            repo_id, _, revision = name_or_path.partition("@")
            return Checkpoint(name_or_path, "Hugging Face Hub", lambda: _read_repository(repo_id, revision or None))
    return _local(Path(name_or_path))


def _is_repository(name: str) -> bool:
    return _REPOSITORY.fullmatch(name) is not None and not name.lower().endswith(_FILES)


def _known(name: str, info: CheckpointInfo) -> Checkpoint:
    source = info.source
    if source is None:
        return Checkpoint(name, "comes with ghn-init", lambda: read_folder(configs_folder() / name))
    return Checkpoint(name, f"{source.file} of {source.repo_id}", lambda: _read_source(info, source))


def _local(path: Path) -> Checkpoint:
    name = os.fspath(path)
    if path.is_dir():
        return Checkpoint(name, "folder", lambda: read_folder(path))
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint {name!r}: neither a known name nor a file or folder. {nearest(path.name)}"
        )
    if path.suffix == ".safetensors":
        config = path.with_name(CONFIG_FILE)
        return Checkpoint(name, "safetensors file", lambda: read_pair(read_info(config), config, path))
    return Checkpoint(name, "published file", lambda: read_published(path))


def _read_repository(repo_id: str, revision: str | None) -> GHN:
    config = hub.fetch(repo_id, CONFIG_FILE, revision)
    info = read_info(config)
    if info.file is not None:
        return read_pair(info, config, hub.fetch(repo_id, info.file, revision))
    if info.source is not None:
        return _read_source(info, info.source)
    raise CheckpointError(f"{config}: names no weights ('file').")


def _read_source(info: CheckpointInfo, source: Source) -> GHN:
    """Fetches a published file once, converts it once, and reads the conversion from then on."""
    fetched = hub.fetch(source.repo_id, source.file, source.revision)
    folder = hub.converted_folder(source.repo_id, fetched)
    if (folder / CONFIG_FILE).is_file():
        try:
            return read_folder(folder)
        except CheckpointError as error:
            _log.warning("converting %s again: %s", source.file, error)
    size = fetched.stat().st_size
    if source.size not in (None, size) or source.sha256 not in (None, digest(fetched) if source.sha256 else None):
        raise CheckpointError(f"{fetched}: not the file that {info.name} was published as; delete it and try again.")
    _log.info("converting %s (%d bytes)", source.file, size)
    ghn = read_published(fetched)
    try:
        save(ghn, folder, info, overwrite=True)
    except CheckpointError as error:
        _log.warning("the conversion is not kept, and will be made again next time: %s", error)
    return ghn
