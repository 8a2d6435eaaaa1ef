"""Which graphs to take together."""

from __future__ import annotations

from collections.abc import Sequence

#: Pairs of nodes, padding included, that a batch may have: more would only take memory.
MOST_PAIRS = 2**21
#: How many times as many pairs as without padding.
MOST_PADDING = 1.5


def by_size(sizes: Sequence[int]) -> list[list[int]]:
    """Batches of graphs of similar size: a batch is padded to its largest, and attention grows with the square.

    Args:
        sizes: the graphs' numbers of nodes.

    Returns:
        Lists of indices into `sizes`, each index once.
    """
    batches: list[list[int]] = []
    pairs = largest = 0
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        own = sizes[index] ** 2
        padded = largest * (len(batches[-1]) + 1) if batches else 0
        if not batches or padded > MOST_PAIRS or padded > MOST_PADDING * (pairs + own):
            batches.append([])
            pairs, largest = 0, own
        batches[-1].append(index)
        pairs += own
    return batches
