"""A whole training run in a folder: from images and settings to a checkpoint, started once or many times."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ghn_init.checkpoints import CheckpointInfo, save
from ghn_init.errors import TrainingError
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.images import ImageSet
from ghn_init.interrupts import handled
from ghn_init.training.checkpoint import States
from ghn_init.training.config import TrainConfig
from ghn_init.training.entries import evaluation_entries
from ghn_init.training.group import Group
from ghn_init.training.logbook import Logbook, Record, read_log
from ghn_init.training.run_folder import (
    BEST_FOLDER,
    GHN_FOLDER,
    STATES_FOLDER,
    check_same,
    locked,
    read_settings,
    write_settings,
)
from ghn_init.training.trainer import Trainer
from ghn_init.training.validation import Validation
from ghn_init.training.warm_start import warm_start

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Intervals:
    """How often a run does what, in steps.

    Attributes:
        log: lines of the log.
        save: states.
        evaluate: validations; each with the next line of the log, at most as often as these.
        keep: states that stay.
    """

    log: int = 50
    save: int = 200
    evaluate: int = 500
    keep: int = 2

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name}={getattr(self, field.name)} must be at least 1")

    def due(self, step: int) -> bool:
        """Whether a validation goes with the line of the log at `step`."""
        return step // self.evaluate > (step - self.log) // self.evaluate


class Run:
    """Trains a GHN in a folder, and goes on where a run in that folder stopped.

    Args:
        folder: of the run; see `ghn_init.training.run_folder` for what is in it.
        ghn_config: architecture of the GHN.
        config: settings of the training.
        images: all labelled images; `TrainConfig.validation` of them are kept out.
        source: where the images come from, for the records.
        group: the processes that train together.
        start: a trained GHN to start from, as `warm_start` does; and its name.
        intervals: how often to log, save and evaluate.
        workers: processes a rank that prepare architectures ahead.
        tensorboard: whether to write TensorBoard's files.
    """

    def __init__(
        self,
        folder: Path,
        ghn_config: GHNConfig,
        config: TrainConfig,
        images: ImageSet,
        *,
        source: str = "",
        group: Group | None = None,
        start: tuple[str, GHN] | None = None,
        intervals: Intervals | None = None,
        workers: int = 0,
        tensorboard: bool = True,
    ) -> None:
        self.folder = folder
        self.group = Group() if group is None else group
        self.config = config
        self.intervals = Intervals() if intervals is None else intervals
        self.tensorboard = tensorboard
        self.settings: Mapping[str, Any] = {
            "ghn": ghn_config.to_dict(),
            "training": config.to_dict(),
            "data": {
                "source": source,
                "images": len(images),
                "classes": images.num_classes,
                "fingerprint": images.fingerprint,
                "mean": [round(value, 6) for value in images.mean],
                "std": [round(value, 6) for value in images.std],
            },
            "start": None if start is None else start[0],
            "processes": self.group.world,
        }
        if config.validation >= len(images):
            raise TrainingError(
                f"cannot hold out {config.validation} of {len(images)} images for validation; say with validation= "
                f"(--validation) how many, such as {max(1, len(images) // 10)}"
            )
        training, held_out = images.split(config.validation, config.seed) if config.validation else (images, None)
        self.trainer = Trainer(new_ghn(ghn_config, config, start), training, config, self.group, workers=workers)
        self._validation = None
        if config.eval_networks and held_out is not None:
            entries = evaluation_entries("val", config.eval_networks, ghn_config, config)
            shown = held_out.subset(torch.arange(min(config.eval_images, len(held_out))))
            self._validation = Validation(entries, shown, self.group)
        self._stop = False
        self._best = -math.inf

    def __call__(self, progress: Callable[[int, Record | None], object] = lambda step, record: None) -> Path:
        """Train to the end, or until SIGINT or SIGTERM ask to stop, which saves first.

        Args:
            progress: told, in the first process, the step and each line of the log.

        Returns:
            The folder of the GHN as a checkpoint.

        Raises:
            TrainingError: the folder holds another run or is in use, the disk is full, or nothing can be trained.
        """
        # `locked` in every process would have them refuse each other
        with locked(self.folder) if self.group.first else contextlib.nullcontext():
            states = States(self.folder / STATES_FOLDER, self.intervals.keep)
            self._open(states)
            logbook = None
            if self.group.first:
                logbook = Logbook(self.folder, self.trainer.step, tensorboard=self.tensorboard)
                rows = read_log(self.folder / "log.csv")
                before = [float(row["validation"]) for row in rows if row["validation"]]
                self._best = max((value for value in before if not math.isnan(value)), default=-math.inf)
            self.group.wait()

            def after(trainer: Trainer, record: Record | None) -> bool:
                last = trainer.step == self.config.steps
                if record is not None and (last or self.intervals.due(trainer.step)):
                    self._evaluate(record)
                if logbook is not None:
                    if record is not None:
                        logbook.write(record)
                    progress(trainer.step, record)
                stop = self._agreed()
                if last or stop or trainer.step % self.intervals.save == 0:
                    self._save(states)
                return stop

            with handled((signal.SIGINT, signal.SIGTERM), self._ask_to_stop):
                if self.trainer.step < self.config.steps:
                    self.trainer.run(log_every=self.intervals.log, after=after)
            if logbook is not None:
                logbook.close()
            self.group.wait()
        return self.folder / GHN_FOLDER

    @property
    def stopped(self) -> bool:
        """Whether a signal stopped the run before its end."""
        return self._stop

    def _open(self, states: States) -> None:
        """Resumes, or writes the settings of a new run."""
        old = read_settings(self.folder)
        state = states.load()
        if old is not None:
            check_same(self.folder, old, self.settings)
        if state is not None:
            self.trainer.resume(state)
            logger.info("going on from step %d of %d", self.trainer.step, self.config.steps)
        self.group.wait()
        if self.group.first and (old is None or old.get("training") != self.settings["training"]):
            write_settings(self.folder, self.settings, self.group.device)

    def _evaluate(self, record: Record) -> None:
        if self._validation is None:
            return
        summary = self._validation(self.trainer.averaged.eval())
        record.validation, record.validation_error = round(summary.mean, 5), round(summary.standard_error, 5)
        logger.info("step %d: validation %.4f +- %.4f", record.step, summary.mean, summary.standard_error)
        if self.group.first and summary.mean > self._best:
            self._best = summary.mean
            self._export(BEST_FOLDER)

    def _save(self, states: States) -> None:
        if self.group.first:
            states.save(self.trainer.state(), self.trainer.step)
            self._export(GHN_FOLDER)

    def _export(self, name: str) -> None:
        trainer = self.trainer
        info = CheckpointInfo(
            name=self.folder.resolve().name,
            description=f"Trained on {self.settings['data']['source'] or 'images'} with ghn-init.",
            training={
                **{key: self.settings[key] for key in ("data", "training", "start", "processes")},
                "steps": trainer.step,
                "architecture_steps": trainer.step * self.config.meta_batch,
                "seconds": round(trainer.seconds),
                "skipped": {"not_finite": trainer.not_finite, "out_of_memory": trainer.out_of_memory},
            },
        )
        save(trainer.averaged, self.folder / name, info, overwrite=True)

    def _agreed(self) -> bool:
        """Whether any process was asked to stop."""
        if self.group.world > 1:
            asked = torch.tensor(float(self._stop), device=self.group.device)
            self._stop = bool(self.group.sum(asked).item())
        return self._stop

    def _ask_to_stop(self, number: int, frame: object) -> None:
        if self._stop:
            raise KeyboardInterrupt  # asked twice
        logger.warning("stopping after this step, on %s", signal.Signals(number).name)
        self._stop = True


def new_ghn(ghn_config: GHNConfig, config: TrainConfig, start: tuple[str, GHN] | None = None) -> GHN:
    """The GHN before its first step: the same in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        ghn = GHN(ghn_config)
    if start is None:
        with torch.no_grad():
            for layer in ghn.last_layers:
                layer.weight *= config.decoder_gain
        return ghn
    left = warm_start(ghn, start[1])
    logger.info("started from %s; not, or not wholly, taken over: %s", start[0], ", ".join(left) or "nothing")
    return ghn
