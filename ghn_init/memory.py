"""Running out of memory, on any device."""

from __future__ import annotations

import torch

#: What torch's CPU allocator says; it raises a plain RuntimeError.
_CPU_ALLOCATOR = "DefaultCPUAllocator"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory was not enough."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)
    )


def release() -> None:
    """Gives memory that torch keeps for later back to the GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
