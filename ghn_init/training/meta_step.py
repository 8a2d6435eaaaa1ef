"""One step of meta-training: predict, run the networks, bring their gradients back into the GHN."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ghn_init.deepnets import stream
from ghn_init.errors import TrainingError
from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet import GHN
from ghn_init.images import AUGMENTS, ImageSet, draw_batch
from ghn_init.memory import is_out_of_memory, release
from ghn_init.training.config import TrainConfig
from ghn_init.training.entries import Entry
from ghn_init.training.group import Group
from ghn_init.training.meta_batches import Share
from ghn_init.training.network_step import NetworkStep, network_step

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class StepResult:
    """What a step did, over all processes.

    Attributes:
        losses: of the networks that count, in the order of their places in the meta-batch.
        accuracies: of the same networks, on the batches trained on.
        gradient_norm: of the GHN's gradient, before clipping.
        not_finite: networks without a finite loss or gradient; all, where the GHN's gradient is not finite.
        out_of_memory: networks that did not fit into memory.
    """

    losses: list[float]
    accuracies: list[float]
    gradient_norm: float
    not_finite: int
    out_of_memory: int

    @property
    def trained(self) -> int:
        """Number of the networks that count."""
        return len(self.losses)


class _Anchor(nn.Module):
    """A zero that depends on all parameters of a GHN: its backward step makes DDP sum the gradients so far."""

    def __init__(self, ghn: GHN) -> None:
        super().__init__()
        self.ghn = ghn

    def forward(self) -> Tensor:
        """A zero, 0-dim."""
        return torch.stack([parameter.flatten()[:0].sum() for parameter in self.ghn.parameters()]).sum()


class MetaStep:
    """Computes the gradient of a meta-batch: `ghn`'s ``.grad``, the same in every process.

    The GHN predicts for all of a process's architectures at once. Each network then runs by itself on the predicted
    tensors, cut off from the GHN; its gradient by them is what the GHN's backward step starts from. The gradients are
    collected without synchronisation and summed by DistributedDataParallel afterwards, so that a process in which
    networks fail does not leave the others waiting.

    Args:
        ghn: the GHN, on the group's device.
        images: the training images, on the group's device.
        config: the settings.
        group: the processes.
    """

    def __init__(self, ghn: GHN, images: ImageSet, config: TrainConfig, group: Group) -> None:
        self.ghn = ghn
        self.images = images
        self.config = config
        self.group = group
        self._augment = AUGMENTS[config.augment]
        self._amp = torch.bfloat16 if config.precision == "bfloat16" else None
        self._sum_gradients = DistributedDataParallel(_Anchor(ghn)) if group.world > 1 else None

    def __call__(self, step: int, share: Share) -> StepResult:
        """The gradient of this process's `share` of the meta-batch of `step`, summed over the processes."""
        config, device = self.config, self.group.device
        torch.manual_seed(int(stream("torch", config.seed, step, self.group.rank).integers(2**62)))
        for parameter in self.ghn.parameters():
            parameter.grad = None
        found = self._collect(step, share)
        if self._sum_gradients is not None:
            self._sum_gradients().backward()
        for parameter in self.ghn.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # a column for each place of the meta-batch, of which every process fills its own
        table = torch.zeros(4, config.meta_batch, dtype=torch.float64, device=device)
        for place, result in found.items():
            loss, correct = (number.where(result.finite, 0) for number in (result.loss, result.correct))
            table[:, place] = torch.stack([torch.ones_like(loss), result.finite, loss, correct])
        norm = nn.utils.clip_grad_norm_(self.ghn.parameters(), config.clip)
        numbers = torch.cat([self.group.sum(table).flatten(), norm.double()[None]]).cpu()  # waits for the device, once
        ran, finite, losses, accuracies = numbers[:-1].view(table.shape).tolist()
        failed = int(sum(ran) - sum(finite))
        if failed:
            logger.warning("step %d: %d networks skipped, loss or gradient not finite", step, failed)
        return StepResult(
            losses=list(itertools.compress(losses, finite)),
            accuracies=list(itertools.compress(accuracies, finite)),
            gradient_norm=numbers[-1].item(),
            not_finite=failed,
            out_of_memory=int(config.meta_batch - sum(ran)),
        )

    def _collect(self, step: int, share: Share) -> dict[int, NetworkStep]:
        """Runs the networks and the GHN's backward step.

        Returns:
            What the networks contribute, by place; those that do not fit into memory are missing.
        """
        share, predictions = self._predict(step, share)
        results: dict[int, NetworkStep] = {}
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        for (place, entry), predicted in zip(share, predictions, strict=True):
            result = self._run(step, place, entry, predicted)
            if result is None:
                continue
            results[place] = result
            outputs += [predicted[name] for name in result.gradients]
            gradients += result.gradients.values()
        if not outputs:
            return results
        try:
            torch.autograd.backward(outputs, gradients)
            return results
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        for parameter in self.ghn.parameters():
            parameter.grad = None
        del predictions, results, outputs, gradients, predicted, result  # for `release` to find
        self._skipped(step, [entry for _, entry in share], "the GHN's backward step")
        return {}

    def _predict(self, step: int, share: Share) -> tuple[Share, Sequence[dict[str, Tensor]]]:
        """Predictions for as much of `share` as fits into memory, the costliest architectures left out first."""
        while share:
            try:
                with self._autocast():
                    graphs: list[ArchGraph] = [entry.graph for _, entry in share]
                    return share, self.ghn(graphs)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            largest = max(share, key=lambda one: one[1].cost)
            self._skipped(step, [largest[1]], "the GHN's forward step")
            share = [one for one in share if one is not largest]
        return share, []

    def _run(self, step: int, place: int, entry: Entry, predicted: dict[str, Tensor]) -> NetworkStep | None:
        config = self.config
        seed = int(stream("images", config.seed, step, place).integers(2**62))
        try:
            images, labels = draw_batch(
                self.images,
                config.batch_size,
                torch.Generator().manual_seed(seed),
                size=entry.image_size,
                augment=self._augment,
            )
            return network_step(
                entry.to(self.group.device),
                predicted,
                images,
                labels,
                clip=config.network_clip,
                penalty=config.penalty,
                label_smoothing=config.label_smoothing,
                amp=self._amp,
                # DDP averages over the processes; a meta-batch's gradient is the mean over its architectures
                share=self.group.world / config.meta_batch,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                what = f"{entry.name or 'a network'}, {entry.architecture!r}"
                raise TrainingError(f"step {step}: {what}, cannot be trained: {error}") from error
        self._skipped(step, [entry], "the network")
        return None

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.group.device.type, dtype=self._amp, enabled=self._amp is not None)

    @staticmethod
    def _skipped(step: int, entries: Sequence[Entry], where: str) -> None:
        names = ", ".join(entry.name or repr(entry.architecture) for entry in entries)
        logger.warning("step %d: out of memory in %s; skipped: %s", step, where, names)
        release()
