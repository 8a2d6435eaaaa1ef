"""Processes that train together on one machine's CPU cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn


def run_processes(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(*arguments)`` in `count` processes joined by gloo, one thread each; returns when all have ended.

    With a count of 1 the call happens in this process. `work` must be importable by name.
    """
    if count == 1:
        work(*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        spawn(_child, args=(count, str(Path(folder) / "meeting"), work, arguments), nprocs=count)  # type: ignore[no-untyped-call]


def _child(rank: int, count: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()
