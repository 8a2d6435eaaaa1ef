"""Meta-training of a GHN, in one process or several."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ghn_init.deepnets import stream
from ghn_init.hypernet import GHN
from ghn_init.training.checkpoint import load_state, save_state
from ghn_init.training.config import TrainConfig
from ghn_init.training.data import Images, draw_batch
from ghn_init.training.network_step import NetworkStep, network_step
from ghn_init.training.optim import make_optimisers, make_schedules
from ghn_init.training.pool import Entry

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Record:
    """One line of the log: means over the steps since the last."""

    step: int
    architecture_steps: int
    seconds: float
    loss: float
    accuracy: float
    gradient_norm: float
    lr: float
    skipped: int


class Trainer:
    """Trains `ghn` on a pool of architectures and a set of images.

    What step t does depends on the seed and t alone, so that a resumed run goes on as if it had not stopped. With
    `torch.distributed` initialised, the architectures of a step are shared out over the processes.

    Args:
        ghn: the GHN, with the same weights in every process.
        pool: the architectures.
        images: the training images.
        config: the settings.
        folder: where `state.pt` and `log.csv` go (from the first process only); None for nowhere.
    """

    def __init__(
        self, ghn: GHN, pool: Sequence[Entry], images: Images, config: TrainConfig, folder: Path | None = None
    ) -> None:
        if not pool:
            raise ValueError("the pool of architectures is empty")
        self.ghn = ghn
        self.pool = pool
        self.images = images
        self.config = config
        self.folder = folder
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.optimisers = make_optimisers(ghn, config)
        self.schedules = make_schedules(self.optimisers, config)
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(ghn, multi_avg_fn=average)
        self.step = 0
        self.skipped = 0
        self.seconds = 0.0
        weights = torch.tensor([float(len(entry.graph)) for entry in pool], dtype=torch.float64) ** -config.cost_power
        self._probabilities = (weights / weights.sum()).numpy()

    @property
    def averaged(self) -> GHN:
        """The GHN with the moving average of the weights."""
        module: GHN = self.average.module  # type: ignore[assignment]
        return module

    def run(
        self,
        steps: int | None = None,
        *,
        log_every: int = 50,
        save_every: int = 500,
        watch: Callable[[Trainer], None] | None = None,
    ) -> list[Record]:
        """Train up to step `steps` (by default the end), and return the log's lines.

        Args:
            steps: last step, counted from the run's beginning.
            log_every: steps from one line of the log to the next.
            save_every: steps from one saved state to the next.
            watch: called after each line of the log, in every process.
        """
        last = self.config.steps if steps is None else min(steps, self.config.steps)
        records: list[Record] = []
        done: list[tuple[float, float, float]] = []
        self.ghn.train()
        while self.step < last:
            started = time.perf_counter()
            done.append(self._meta_step())
            self.seconds += time.perf_counter() - started
            if self.step % log_every == 0 or self.step == last:
                records.append(self._record(done))
                done = []
                if watch is not None:
                    watch(self)
            if self.step % save_every == 0 or self.step == last:
                self.save()
        return records

    def choose(self, step: int) -> list[int]:
        """Indices into the pool of the architectures of `step`, for all processes."""
        rng = stream("step", self.config.seed, step)
        chosen = rng.choice(len(self.pool), size=self.config.meta_batch, p=self._probabilities)
        return [int(index) for index in chosen]

    def share(self, chosen: Sequence[int]) -> list[int]:
        """Positions in `chosen` that this process works on: the largest first, each to who has the least to do."""
        loads = [0] * self.world
        mine = []
        for place in sorted(range(len(chosen)), key=lambda place: -len(self.pool[chosen[place]].graph)):
            least = loads.index(min(loads))
            loads[least] += len(self.pool[chosen[place]].graph)
            if least == self.rank:
                mine.append(place)
        return sorted(mine)

    def _meta_step(self) -> tuple[float, float, float]:
        """One step of the optimisers: mean loss, mean accuracy, norm of the gradient."""
        config = self.config
        chosen = self.choose(self.step)
        mine = self.share(chosen)
        entries = [self.pool[chosen[place]] for place in mine]
        torch.manual_seed(int(stream("torch", config.seed, self.step, self.rank).integers(2**62)))
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=False)
        predictions = self.ghn([entry.graph for entry in entries])
        results = [
            self._network_step(entry, predicted, place)
            for entry, predicted, place in zip(entries, predictions, mine, strict=True)
        ]
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        for result, predicted in zip(results, predictions, strict=True):
            outputs += [predicted[name] for name in result.gradients]
            gradients += result.gradients.values()
        if outputs:
            torch.autograd.backward(outputs, gradients)

        numbers = [torch.stack((result.loss, result.correct, result.finite)) for result in results]
        read: list[list[float]] = torch.stack(numbers).tolist() if numbers else []
        good = [(loss, correct) for loss, correct, finite in read if finite]
        totals = self._reduce(
            [
                sum(loss for loss, _ in good),
                sum(correct for _, correct in good),
                float(len(good)),
                float(len(results) - len(good)),
            ]
        )
        norm = torch.nn.utils.clip_grad_norm_(self.ghn.parameters(), config.clip)
        failed = int(totals[3])
        if failed:
            self.skipped += failed
            logger.warning("step %d: %d networks skipped, their loss or gradient was not finite", self.step, failed)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
            self.average.update_parameters(self.ghn)
        else:
            self.skipped += len(chosen)
            logger.warning("step %d skipped: the gradient of the GHN is not finite", self.step)
        for schedule in self.schedules:
            schedule.step()
        self.step += 1
        count = max(1.0, totals[2])
        return totals[0] / count, totals[1] / count, float(norm)

    def _network_step(self, entry: Entry, predicted: dict[str, Tensor], place: int) -> NetworkStep:
        config = self.config
        seed = int(stream("images", config.seed, self.step, place).integers(2**62))
        images, labels = draw_batch(
            self.images,
            config.batch_size,
            torch.Generator().manual_seed(seed),
            pad=config.pad,
            size=entry.image_size,
        )
        return network_step(
            entry,
            predicted,
            images,
            labels,
            clip=config.network_clip,
            penalty=config.penalty,
            share=1 / config.meta_batch,
        )

    def _reduce(self, numbers: list[float]) -> list[float]:
        """Sum `numbers` and the GHN's gradients over the processes, in one message."""
        parameters = [parameter for parameter in self.ghn.parameters() if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.world == 1:
            return numbers
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor(numbers)])
        dist.all_reduce(flat)
        place = 0
        for gradient in gradients:
            gradient.copy_(flat[place : place + gradient.numel()].view_as(gradient))
            place += gradient.numel()
        return [float(number) for number in flat[place:]]

    def _record(self, done: Sequence[tuple[float, float, float]]) -> Record:
        loss, correct, norm = (math.fsum(column) / len(done) for column in zip(*done, strict=True))
        record = Record(
            step=self.step,
            architecture_steps=self.step * self.config.meta_batch,
            seconds=round(self.seconds, 1),
            loss=round(loss, 4),
            accuracy=round(correct, 4),
            gradient_norm=round(norm, 4),
            lr=float(self.schedules[0].get_last_lr()[0]),
            skipped=self.skipped,
        )
        if self.folder is not None and self.rank == 0:
            row = dataclasses.asdict(record)
            path = self.folder / "log.csv"
            fresh = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
        return record

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "ghn_config": self.ghn.config.to_dict(),
            "train_config": self.config.to_dict(),
            "ghn": self.ghn.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "step": self.step,
            "skipped": self.skipped,
            "seconds": self.seconds,
        }

    def save(self) -> None:
        """Write the state to the run's folder, from the first process."""
        if self.folder is not None and self.rank == 0:
            save_state(self.state(), self.folder / "state.pt")

    def start_from(self, path: Path) -> None:
        """Take over the averaged weights of another run, and nothing else of it."""
        saved = load_state(path)["average"]
        weights = {name.removeprefix("module."): value for name, value in saved.items() if name != "n_averaged"}
        self.ghn.load_state_dict(weights)
        self.averaged.load_state_dict(weights)

    def resume(self, path: Path) -> None:
        """Continue from a state that `save` wrote.

        Raises:
            ValueError: the state is that of a GHN with another configuration.
        """
        state = load_state(path)
        if state["ghn_config"] != self.ghn.config.to_dict():
            raise ValueError(f"{path} holds a GHN with another configuration: {state['ghn_config']}")
        self.ghn.load_state_dict(state["ghn"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.step, self.skipped, self.seconds = state["step"], state["skipped"], state["seconds"]
