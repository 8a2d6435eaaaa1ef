"""Statistics for a checkpoint of one's own, from what its ``config.json`` says of its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ghn_init.atomic import write_text_atomically
from ghn_init.checkpoints.folder import read_folder
from ghn_init.checkpoints.info import CONFIG_FILE, CheckpointInfo
from ghn_init.errors import CheckpointError
from ghn_init.explain.fit import fit_familiarity

if TYPE_CHECKING:
    from ghn_init.training.architectures import ArchitectureStream, Drawn

#: Architectures to draw.
ARCHITECTURES = 500


def fit_folder(
    folder: Path,
    count: int = ARCHITECTURES,
    *,
    seed: int = 0,
    watch: Callable[[int, int], object] = lambda done, total: None,
) -> CheckpointInfo:
    """Writes the statistics of a GHN that `ghn-init train` made into its folder's ``config.json``.

    Args:
        folder: of the checkpoint: ``ghn`` or ``best`` in the folder of a run.
        count: how many of its training's architectures to draw.
        seed: which of them.
        watch: told how many are done, and of how many.

    Raises:
        CheckpointError: no checkpoint, one that does not say how it was trained, or a folder that cannot be written to.
        ValueError: too few architectures.
    """
    ghn = read_folder(folder)
    assert ghn.info is not None
    trained = ghn.info.training
    stream = _stream(trained, folder / CONFIG_FILE)

    def watched() -> Iterator[Drawn]:
        for done, drawn in enumerate(draws(stream, trained["training"]["meta_batch"], count, seed)):
            watch(done, count)
            yield drawn

    source = f"{count} of the {stream.steps * trained['training']['meta_batch']:,} architecture-steps of its training"
    info = dataclasses.replace(ghn.info, familiarity=fit_familiarity(ghn, watched(), source=source))
    try:
        write_text_atomically(folder / CONFIG_FILE, info.to_json())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}.") from error
    return info


def draws(stream: ArchitectureStream, meta_batch: int, count: int, seed: int = 0) -> Iterator[Drawn]:
    """Architectures of a training, from steps all over it: each is drawn as it was then.

    Args:
        stream: the training's.
        meta_batch: architectures a step.
        count: how many.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    for number in rng.choice(stream.steps * meta_batch, count, replace=count > stream.steps * meta_batch):
        yield stream.draw(*divmod(int(number), meta_batch))


def _stream(trained: Mapping[str, Any], where: Path) -> ArchitectureStream:
    from ghn_init.training.architectures import ArchitectureStream
    from ghn_init.training.config import TrainConfig

    settings = trained.get("training")
    if not isinstance(settings, Mapping):
        raise CheckpointError(
            f"{where}: does not say with which settings the GHN was trained ('training.training'), as those of "
            "'ghn-init train' do; draw architectures yourself and give them to ghn_init.explain.fit_familiarity."
        )
    try:
        config: Any = TrainConfig.from_dict(settings)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{where}: 'training.training' is not a training's settings: {error}.") from error
    return ArchitectureStream(config.architectures, config.steps, config.seed)
