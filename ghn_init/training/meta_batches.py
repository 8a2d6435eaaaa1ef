"""The architectures of each step, shared out over the processes by load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import DataLoader, Dataset

from ghn_init.hypernet import GHNConfig
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.entries import Entries, Entry

#: One process's part of a meta-batch: places in the meta-batch, each with its entry.
Share = list[tuple[int, Entry]]


def balanced(loads: Sequence[float], parts: int) -> list[list[int]]:
    """Indices of `loads` in `parts` lists of similar sums: the largest first, each to where the sum is least."""
    shares: list[list[int]] = [[] for _ in range(parts)]
    sums = [0.0] * parts
    for index in sorted(range(len(loads)), key=lambda index: -loads[index]):
        least = sums.index(min(sums))
        sums[least] += loads[index]
        shares[least].append(index)
    return [sorted(share) for share in shares]


class MetaBatches(Dataset[Share]):
    """Element t is this process's share of the meta-batch of step t.

    Args:
        architectures: what is drawn.
        config: of the GHN.
        meta_batch: architectures a step, over all processes.
        rank: this process.
        world: number of processes.
    """

    def __init__(
        self, architectures: ArchitectureStream, config: GHNConfig, meta_batch: int, rank: int = 0, world: int = 1
    ) -> None:
        self.architectures = architectures
        self.entries = Entries(config)
        self.meta_batch = meta_batch
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return self.architectures.steps

    def __getitem__(self, step: int) -> Share:
        drawn = [self.architectures.draw(step, place) for place in range(self.meta_batch)]
        mine = balanced([one.load for one in drawn], self.world)[self.rank]
        return [(place, self.entries[drawn[place]]) for place in mine]

    def from_step(self, first: int, workers: int = 0) -> Iterator[Share]:
        """The shares of the steps from `first` on.

        Args:
            first: the first step.
            workers: processes that prepare them ahead, which pays where a device is not to wait for the CPU.
        """
        steps = range(first, len(self))
        return iter(DataLoader(self, batch_size=None, sampler=steps, num_workers=workers, collate_fn=_as_it_is))


def _as_it_is(share: Share) -> Share:
    return share
