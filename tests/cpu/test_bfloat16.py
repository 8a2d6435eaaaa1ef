import signal
import subprocess
import sys

import pytest

from ghn_init.cpu import bfloat16
from ghn_init.errors import TrainingError

KILLED = f"import os; os.kill(os.getpid(), {signal.SIGILL:d})"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose CPU announces instructions, on which the trial does something else."""

    def made(flags, trial):
        (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags}\n")
        monkeypatch.setattr(bfloat16, "_CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(bfloat16, "_TRIAL", trial)
        monkeypatch.setenv(bfloat16.VARIABLE, "")  # so that what the code sets is undone
        monkeypatch.delenv(bfloat16.VARIABLE)
        bfloat16._tried.cache_clear()

    yield made
    bfloat16._tried.cache_clear()


def test_a_machine_that_ends_such_processes_is_found_out_and_mended(machine, caplog):
    machine("amx_bf16 amx_tile", KILLED)
    assert not bfloat16.bfloat16_works()
    with pytest.raises(TrainingError, match="ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16 before Python starts"):
        bfloat16.require_bfloat16()
    bfloat16.avoid_broken_bfloat16()
    assert "AMX does not work" in caplog.text
    bfloat16.require_bfloat16()


@pytest.mark.parametrize(
    ("flags", "trial"), [("amx_bf16", "pass"), ("amx_bf16", "raise SystemExit(1)"), ("avx512f", KILLED)]
)
def test_others_are_left_alone(machine, caplog, flags, trial):
    machine(flags, trial)
    bfloat16.avoid_broken_bfloat16()
    bfloat16.require_bfloat16()
    assert not caplog.text


def test_a_machine_without_cpuinfo_is_left_alone(machine, monkeypatch, tmp_path):
    machine("amx_bf16", KILLED)
    monkeypatch.setattr(bfloat16, "_CPU_INFO", tmp_path / "none")
    assert bfloat16.bfloat16_works()


def test_with_the_variable_products_of_bfloat16_work_on_this_machine():
    bfloat16.avoid_broken_bfloat16()  # sets it where it is needed; the process below inherits it
    subprocess.run([sys.executable, "-c", bfloat16._TRIAL], check=True)
