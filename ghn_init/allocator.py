"""How the C library hands out the memory of tensors on CPU."""

from __future__ import annotations

import ctypes
import logging

logger = logging.getLogger(__name__)

#: glibc's mallopt(3): its options' numbers in malloc.h, and what keeps memory for the next operation.
_KEEP = {
    "M_MMAP_MAX": (-4, 0),  # large tensors from the heap too, not from the system one by one
    "M_TRIM_THRESHOLD": (-1, -1),  # the heap's free end stays, however large
    "M_TOP_PAD": (-2, 64 * 2**20),  # the heap grows by 64 MiB
    "M_ARENA_MAX": (-8, 1),  # one heap for all threads: the others' heaps are too small for large tensors
}


def keep_freed_memory() -> bool:
    """Makes this process keep the memory of freed tensors for the next ones, until it ends.

    By default glibc asks the system for each large tensor's memory anew, which then has to be filled with zeros page by
    page, at more cost than the operation itself. For processes that run networks over and over: what they hold stays
    at its peak.

    Returns:
        Whether the C library is one that can be told so.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc: macOS, Windows, musl
        logger.debug("the C library has no mallopt: memory of freed tensors goes back to the system")
        return False
    done = [mallopt(option, value) for option, value in _KEEP.values()]
    return all(done)
