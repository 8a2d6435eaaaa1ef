"""Processes that train together on one machine, without ``torchrun``."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn


def run_processes(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(*arguments)`` in `count` processes joined by gloo; returns when all have ended.

    The processes share the CPU's cores, and may share one GPU: small networks are bound by the launching of kernels, so
    that several processes keep a GPU busier than one. With a count of 1 the call happens in this process. `work` must
    be importable by name.
    """
    if count == 1:
        work(*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        spawn(_child, args=(count, str(Path(folder) / "meeting"), work, arguments), nprocs=count)  # type: ignore[no-untyped-call]


def _child(rank: int, count: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    if (loopback := _loopback()) is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    os.environ["LOCAL_RANK"] = str(rank)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()


def _loopback() -> str | None:
    """The network interface of the machine itself, which a name server or firewall cannot get in the way of."""
    names = {name for _, name in socket.if_nameindex()}
    return next((name for name in ("lo", "lo0") if name in names), None)
