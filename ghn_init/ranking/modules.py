"""Ranked networks as modules, and as files that can be read back."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from ghn_init.atomic import flush, flush_folder, staging
from ghn_init.evaluation.measure import Setup, own_network
from ghn_init.evaluation.subjects import Subject
from ghn_init.options import Options
from ghn_init.prediction import Prediction
from ghn_init.ranking.descriptions import Builder, build_described, describe
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.rows import Row

_FORMAT = 1
_RANKING = "ranking.json"
_SUFFIX = ".safetensors"


@dataclasses.dataclass(frozen=True)
class Kept:
    """A network to save: its row, what builds it, and what makes it with its weights."""

    row: Row
    subject: Subject
    make: Callable[[], nn.Module]


def with_weights(setup: Setup, subject: Subject, ghn: str, noise: float) -> nn.Module:
    """A network with predicted weights, in evaluation mode, on the images' device."""
    skeleton = subject.skeleton(setup.images.num_classes, setup.image_size)
    network = own_network(setup, subject)
    options = Options(noise=noise, seed=setup.seed, blend=0.0)
    Prediction(network, skeleton.graph, setup.ghn, checkpoint=ghn, options=options, seconds={}).load_into()
    return network


def save_kept(folder: Path, setup: Setup, ghn: str, kept: Sequence[Kept], texts: Mapping[str, str]) -> Path:
    """Writes networks, one after the other in memory, and some texts into a folder; see `Ranking.save`."""
    if not kept:
        raise RankingError(f"no network has a score, so that there is nothing to save in {folder}")
    if folder.exists() and not _is_ours(folder):
        raise RankingError(f"{folder} exists and holds something else than saved networks; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with staging(folder) as staged:
        new = staged / "new"
        new.mkdir()
        for number, one in enumerate(kept, 1):
            stem = f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', one.row.name)[:80]}"
            data = {
                "format_version": _FORMAT,
                "rank": number,
                "name": one.row.name,
                "score": one.row.score,
                "parameters": one.row.parameters,
                "flops": one.row.flops,
                "num_classes": setup.images.num_classes,
                "image_size": setup.image_size,
                "mean": list(setup.images.mean),
                "std": list(setup.images.std),
                "ghn": ghn,
                "architecture": describe(one.subject),
            }
            (new / f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            save_model(one.make(), str(new / f"{stem}{_SUFFIX}"), {"format": "pt"})
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8", newline="")
        for path in new.iterdir():
            flush(path)
        flush_folder(new)
        if folder.exists():
            os.replace(folder, staged / "old")
        os.replace(new, folder)
    flush_folder(folder.parent)
    return folder


def load_kept(
    folder: str | Path, *, generator: Callable[[int], Any] | None = None, own_code: bool = False
) -> list[nn.Module]:
    """The networks that `Ranking.save` or ``ghn-init search`` wrote, the best first, in evaluation mode on the CPU.

    Args:
        folder: the folder.
        generator: what made the networks, if a function of one's own or a list of modules did: called with the index of
            each, it returns the module or `Subject`. Files hold no code.
        own_code: whether to call functions that the files name (``module:function``), and constructors with options
            other than numbers. Only for a folder that you trust.

    Raises:
        RankingError: there are no networks, a file is missing or damaged, or `generator` or `own_code` is needed.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*.json") if path.name != _RANKING)
    if not paths:
        raise RankingError(f"{folder} holds no saved networks")
    builder = Builder(generator, own_code)
    return [_load(path, builder) for path in paths]


def _load(path: Path, builder: Builder) -> nn.Module:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format_version"] != _FORMAT:
            raise RankingError(f"{path} is of format {data['format_version']}, this version reads {_FORMAT}")
        with torch.random.fork_rng(devices=[]):
            network = build_described(data["architecture"], data["num_classes"], data["image_size"], builder)
    except (KeyError, TypeError, ValueError) as error:
        raise RankingError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    weights = path.with_suffix(_SUFFIX)
    try:
        load_model(network, str(weights))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RankingError(f"{weights} does not hold the weights of {path.name}: {error}") from error
    return network


def _is_ours(folder: Path) -> bool:
    """Whether there is nothing in a folder but what `save_kept` writes."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    extra = {name for name in names if not re.fullmatch(r"\d{3,}-.*\.(json|safetensors)|ranking\.(json|csv|txt)", name)}
    return not extra
