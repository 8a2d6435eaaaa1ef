"""How many images a network classifies rightly, with the statistics of each batch in its batch norms."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from ghn_init.images import ImageSet, normalise
from ghn_init.merging import merged_call

#: Images a batch in the papers' evaluation; batch statistics depend on it.
BATCH_SIZE = 64
#: With more classes than this, top-5 accuracy says something too.
FEW_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Score:
    """What a network makes of some images.

    Attributes:
        images: number of images.
        right: those whose largest logit is that of their class.
        right_in_5: those whose class is among the five largest; None for `FEW_CLASSES` classes or fewer.
        not_finite: those with a logit that is not finite; they are never right.
    """

    images: int
    right: int
    right_in_5: int | None
    not_finite: int

    @property
    def top1(self) -> float:
        """Top-1 accuracy, in [0, 1]."""
        return self.right / self.images

    @property
    def top5(self) -> float | None:
        """Top-5 accuracy, in [0, 1]; None for few classes."""
        return None if self.right_in_5 is None else self.right_in_5 / self.images


@torch.no_grad()
def score(
    network: nn.Module,
    images: ImageSet,
    *,
    parameters: dict[str, Tensor] | None = None,
    periods: dict[str, tuple[int, int]] | None = None,
    batch_size: int = BATCH_SIZE,
    indices: Tensor | None = None,
    size: int | None = None,
) -> Score:
    """What `network` makes of `images`, batch by batch.

    Args:
        network: the network, on the images' device; its mode is kept as it is. Batch norms without running statistics
            (`use_batch_statistics`) use those of each batch, as the papers do.
        images: what to classify.
        parameters: used in place of the network's own, by name.
        periods: after how many numbers which of `parameters` repeat: their equal channels are computed once
            (`ghn_init.merging`).
        batch_size: images a batch; a last smaller one counts as well.
        indices: int64, the images to take, in this order; None for all, in theirs.
        size: side of the images that the network gets; None for their own.

    Raises:
        ValueError: no images.
    """
    chosen = torch.arange(len(images)) if indices is None else indices
    if not len(chosen):
        raise ValueError("no images to classify")
    known = dict(periods or {})
    right = right_in_5 = not_finite = classes = 0
    for batch in torch.split(chosen, batch_size):
        pixels, labels = images.take(batch)
        # depthwise convolutions are several times faster channels-last
        x = normalise(pixels, size, images.mean, images.std).contiguous(memory_format=torch.channels_last)
        logits = network(x) if parameters is None else merged_call(network, parameters, x, known)
        classes = logits.shape[1]
        finite = logits.isfinite().all(dim=1)
        best = logits.topk(min(5, classes), dim=1).indices == labels[:, None]
        best &= finite[:, None]
        right += int(best[:, 0].sum())
        right_in_5 += int(best.any(dim=1).sum())
        not_finite += int((~finite).sum())
    return Score(len(chosen), right, right_in_5 if classes > FEW_CLASSES else None, not_finite)
