"""Accuracy during training, on architectures and images that are not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ghn_init.evaluation import Summary, score
from ghn_init.hypernet import GHN
from ghn_init.images import ImageSet
from ghn_init.memory import is_out_of_memory, release
from ghn_init.training.entries import Entry
from ghn_init.training.group import Group


class Validation:
    """Evaluates a GHN on unseen architectures, shared out over the processes.

    Args:
        entries: the networks, the same in every process.
        images: the images, the same in every process.
        group: the processes.
    """

    def __init__(self, entries: Sequence[Entry], images: ImageSet, group: Group) -> None:
        self.entries = entries
        self.images = images
        self.group = group

    @torch.no_grad()
    def __call__(self, ghn: GHN) -> Summary:
        """Top-1 accuracies without training of the networks; one that does not fit into memory counts as NaN."""
        mine = {}
        for place in range(self.group.rank, len(self.entries), self.group.world):
            entry = self.entries[place].to(self.group.device)
            try:
                parameters = ghn(entry.graph)
                mine[place] = score(
                    entry.skeleton, self.images, parameters=parameters, periods=entry.periods, size=entry.image_size
                ).top1
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                mine[place] = float("nan")
                release()
        found = {place: value for part in self.group.gather(mine) for place, value in part.items()}
        return Summary(tuple(found[place] for place in sorted(found)))
