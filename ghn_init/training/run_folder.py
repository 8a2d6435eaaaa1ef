"""The folder of a run: all that is needed to repeat it, to go on with it, and to use its GHN.

run.json       settings of the GHN, the training and the data, versions, the command
log.csv        one line every few steps; tensorboard/ has the same
states/        the last states, to go on from
ghn/           the GHN as a checkpoint's folder, of the last state: averaged weights
best/          the same, of the best validation so far
"""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ghn_init.atomic import write_text_atomically
from ghn_init.errors import TrainingError
from ghn_init.training.config import TrainConfig

SETTINGS_FILE = "run.json"
GHN_FOLDER, BEST_FOLDER, STATES_FOLDER = "ghn", "best", "states"
#: Packages whose versions a run's results may depend on.
PACKAGES = ("torch", "torchvision", "timm", "numpy")
#: What must be the same for a run to go on; "steps" may grow, see `check_same`.
DETERMINING = ("ghn", "training", "data", "start")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in `folder`; made if missing.

    Raises:
        TrainingError: another process trains there, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(f"{folder}: another process trains in this folder.") from error
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be used as a run's folder: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def write_settings(folder: Path, settings: Mapping[str, Any], device: torch.device) -> None:
    """Write ``run.json``: `settings`, with versions, the device's name, command and time."""
    from ghn_init import __version__

    versions = {name: metadata.version(name) for name in PACKAGES}
    whole = {
        **settings,
        "versions": {"ghn-init": __version__, "python": platform.python_version(), **versions},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or device.type,
        "command": sys.argv,
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    write_text_atomically(folder / SETTINGS_FILE, json.dumps(whole, indent=2) + "\n")


def read_settings(folder: Path) -> dict[str, Any] | None:
    """The content of ``run.json``; None if there is none.

    Raises:
        TrainingError: it cannot be read.
    """
    path = folder / SETTINGS_FILE
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    return settings


def check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuses to go on with a run under other settings.

    The steps of a run with the "wsd" schedule may change, since its learning rate does not depend on them before the
    cooldown.

    Raises:
        TrainingError: with the settings that differ, old and new.
    """
    before, after = (_flat({name: settings.get(name) for name in DETERMINING}) for settings in (old, new))
    before = _flat({"training": TrainConfig(steps=1).to_dict()}) | before  # settings that were not there yet
    may_differ = {"training.steps"} if new["training"]["schedule"] == "wsd" else set()
    differences = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in may_differ
    ]
    if differences:
        raise TrainingError(
            f"{folder}: holds a run with other settings: {'; '.join(differences)}. Choose another folder, or the same "
            "settings to go on with it."
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
