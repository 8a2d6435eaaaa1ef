"""Virtual machines that announce Intel's matrix instructions (AMX) and then end every process that uses them."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from pathlib import Path

from ghn_init.errors import TrainingError

logger = logging.getLogger(__name__)

#: oneDNN's limit on instruction sets (https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html),
#: which it reads once, at its first operation.
VARIABLE, WITHOUT_AMX = "ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16"
_CPU_INFO = Path("/proc/cpuinfo")
_TRIAL = "import torch; x = torch.ones(64, 64, dtype=torch.bfloat16); x @ x"


def avoid_broken_bfloat16() -> None:
    """Keeps oneDNN from AMX where that would end the process, with a warning in the log.

    To be called before the process's first operation on tensors; the processes that it starts are kept from it, too.
    """
    if not bfloat16_works():
        logger.warning("AMX does not work on this machine: %s is set to %s", VARIABLE, WITHOUT_AMX)
        os.environ[VARIABLE] = WITHOUT_AMX


def require_bfloat16() -> None:
    """Says what to do where products of bfloat16 matrices would end the process.

    Raises:
        TrainingError: they would.
    """
    if not bfloat16_works():
        raise TrainingError(
            "this machine announces AMX, but ends processes that use it, as training in bfloat16 and Muon do: set "
            f"the environment variable {VARIABLE}={WITHOUT_AMX} before Python starts, or use matrix_lr=0 and "
            "precision=float32"
        )


def bfloat16_works() -> bool:
    """Whether a product of bfloat16 matrices works on this CPU: tried, in a process of its own, if AMX is announced."""
    return os.environ.get(VARIABLE) == WITHOUT_AMX or not _announced() or _tried()


def _announced() -> bool:
    try:
        return "amx_bf16" in _CPU_INFO.read_text()
    except OSError:  # only Linux has it
        return False


@functools.cache
def _tried() -> bool:
    return subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True).returncode >= 0
