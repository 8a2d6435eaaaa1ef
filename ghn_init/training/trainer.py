"""Meta-training of a GHN, in one process or several."""

from __future__ import annotations

import dataclasses
import logging
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ghn_init.cpu.bfloat16 import require_bfloat16
from ghn_init.errors import TrainingError
from ghn_init.hypernet import GHN
from ghn_init.images import ImageSet
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.config import TrainConfig
from ghn_init.training.group import Group
from ghn_init.training.logbook import Record
from ghn_init.training.meta_batches import MetaBatches, Share
from ghn_init.training.meta_step import MetaStep, StepResult
from ghn_init.training.optim import make_optimisers, make_schedules

logger = logging.getLogger(__name__)

#: So many steps in a row in which nothing could be trained end a run.
MAX_FAILURES = 20


class Trainer:
    """Trains `ghn` on a stream of architectures and a set of images.

    What step t does depends on the seed and t alone, so that a resumed run goes on as if it had not stopped.

    Args:
        ghn: the GHN, with the same weights in every process; moved to the group's device.
        images: the training images, on the group's device.
        config: the settings.
        group: the processes that train together.
        workers: processes that prepare architectures ahead; 0 for none.

    Raises:
        TrainingError: bfloat16 is wanted, and ends processes on this CPU.
    """

    def __init__(
        self,
        ghn: GHN,
        images: ImageSet,
        config: TrainConfig,
        group: Group | None = None,
        *,
        workers: int = 0,
    ) -> None:
        self.group = Group() if group is None else group
        if self.group.device.type == "cpu" and (config.matrix_lr or config.precision == "bfloat16"):
            require_bfloat16()  # Muon works in bfloat16
        self.ghn = ghn.to(self.group.device)
        self.images = images
        self.config = config
        self.workers = workers
        stream = ArchitectureStream(config.architectures, config.steps, config.seed)
        self.batches = MetaBatches(stream, ghn.config, config.meta_batch, self.group.rank, self.group.world)
        self.optimisers = make_optimisers(ghn, config)
        self.schedules = make_schedules(self.optimisers, config)
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(ghn, multi_avg_fn=average)
        self.step = 0
        self.seconds = 0.0
        self.not_finite = 0
        self.out_of_memory = 0
        self._meta_step = MetaStep(self.ghn, images, config, self.group)

    @property
    def averaged(self) -> GHN:
        """The GHN with the moving average of the weights."""
        module: GHN = self.average.module  # type: ignore[assignment]
        return module

    def run(
        self, steps: int | None = None, *, log_every: int = 50, after: Callable[[Trainer, Record | None], bool]
    ) -> None:
        """Train up to step `steps` (by default the end).

        Args:
            steps: last step, counted from the run's beginning.
            log_every: steps from one record to the next.
            after: called after each step, in every process, with a record where one is due; true ends the training.

        Raises:
            TrainingError: in `MAX_FAILURES` steps in a row no network could be trained.
        """
        last = self.config.steps if steps is None else min(steps, self.config.steps)
        done: list[StepResult] = []
        failures, before, steps_before = 0, self.seconds, self.step
        self.ghn.train()
        shares = self.batches.from_step(self.step, self.workers)
        while self.step < last:
            started = time.perf_counter()
            result = self.train_step(next(shares))
            self.seconds += time.perf_counter() - started
            done.append(result)
            failures = 0 if result.trained else failures + 1
            if failures == MAX_FAILURES:
                raise TrainingError(
                    f"step {self.step}: in {failures} steps in a row no network had a finite loss and enough memory. "
                    "The log names the reasons; a lower learning rate, or fewer images a network, may help."
                )
            record = None
            if self.step % log_every == 0 or self.step == last:
                rate = (self.step - steps_before) * self.config.meta_batch / max(self.seconds - before, 1e-9)
                record = self._record(done, rate)
                done, before, steps_before = [], self.seconds, self.step
            if after(self, record):
                return

    def train_step(self, share: Share) -> StepResult:
        """One step of the optimisers, on this process's `share` of the meta-batch."""
        result = self._meta_step(self.step, share)
        self.not_finite += result.not_finite
        self.out_of_memory += result.out_of_memory
        if not math.isfinite(result.gradient_norm):
            self.not_finite += result.trained
            result = dataclasses.replace(
                result, losses=[], accuracies=[], not_finite=result.not_finite + result.trained
            )
            logger.warning("step %d skipped: the gradient of the GHN is not finite", self.step)
        if not result.trained:
            for parameter in self.ghn.parameters():
                parameter.grad = None  # optimisers leave these alone
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            schedule.step()
        if result.trained:
            self.average.update_parameters(self.ghn)
        self.step += 1
        return result

    def _record(self, done: list[StepResult], rate: float) -> Record:
        losses = [loss for result in done for loss in result.losses]
        accuracies = [accuracy for result in done for accuracy in result.accuracies]
        norms = [result.gradient_norm for result in done if result.trained]
        return Record(
            step=self.step,
            architecture_steps=self.step * self.config.meta_batch,
            seconds=round(self.seconds, 1),
            loss=round(statistics.fmean(losses or [math.nan]), 4),
            median_loss=round(statistics.median(losses or [math.nan]), 4),
            accuracy=round(statistics.fmean(accuracies or [math.nan]), 4),
            gradient_norm=round(statistics.fmean(norms or [math.nan]), 4),
            lr=float(self.schedules[0].get_last_lr()[0]),
            rate=round(rate, 2),
            not_finite=self.not_finite,
            out_of_memory=self.out_of_memory,
            bad_images=self.images.skipped,
        )

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs: tensors and plain values."""
        return {
            "ghn_config": self.ghn.config.to_dict(),
            "train_config": self.config.to_dict(),
            "ghn": self.ghn.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "step": self.step,
            "seconds": self.seconds,
            "not_finite": self.not_finite,
            "out_of_memory": self.out_of_memory,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises:
            TrainingError: the state is that of a GHN with another configuration.
        """
        if state["ghn_config"] != self.ghn.config.to_dict():
            raise TrainingError(f"the state is of a GHN with another configuration: {state['ghn_config']}")
        self.ghn.load_state_dict(state["ghn"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.not_finite, self.out_of_memory = state["not_finite"], state["out_of_memory"]
