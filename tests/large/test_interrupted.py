"""Nothing that looks complete remains of a run that is killed or that meets a full disk."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import load_torch_model
from safetensors import SafetensorError, safe_open
from torch import nn
from typer.testing import CliRunner

from ghn_init.atomic import staging, write_atomically
from ghn_init.cli import app
from ghn_init.sharding import INDEX

# 5 x 16 MB, and the same on a slow disk.
OWN = """
import os
import time

from torch import nn

from ghn_init import tensorfile

write_out = os.fsync


def slow_write_out(handle):
    time.sleep(0.3)
    write_out(handle)


def wide():
    return nn.Sequential(*[nn.Linear(2048, 2048, bias=False) for _ in range(5)])


def slow():
    tensorfile.PIECE = 2**24
    os.fsync = slow_write_out
    return wide()
"""
TIMEOUT = 120.0


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_wide", raising=False)
    (tmp_path / "own_wide.py").write_text(OWN)


def command(model: str, output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "ghn_init.cli", "apply", f"own_wide:{model}", "-o", output, *more]


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"own_wide.py", "__pycache__"}


def size_of(pattern: str, folder: Path) -> int:
    """Bytes of the files that match, some of which may vanish meanwhile."""
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def killed_while_writing(runs: dict[str, list[str]], folder: Path) -> None:
    """Starts commands and kills each once there is a megabyte of weights in files that match its key."""
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = {pattern: subprocess.Popen(arguments, cwd=folder, **output) for pattern, arguments in runs.items()}
    deadline = time.monotonic() + TIMEOUT
    try:
        while running:
            for pattern, process in list(running.items()):
                assert process.poll() is None, "it ended before it was killed"
                if size_of(pattern, folder) >= 2**20:
                    process.kill()
                    assert process.wait() == -signal.SIGKILL
                    del running[pattern]
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        for process in running.values():
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_run_leaves_nothing_that_looks_complete_and_does_not_stand_in_the_way(tmp_path: Path) -> None:
    shards = ("weights", "--max-shard-size", "20MB")
    runs = {
        ".weights.*.tmp/folder/*": command("slow", *shards),
        ".weights.safetensors.*.tmp/*": command("slow", "weights.safetensors"),
    }
    killed_while_writing(runs, tmp_path)
    assert len(visible(tmp_path)) == 2
    assert all(re.fullmatch(r"\.weights(\.safetensors)?\.\w{16}\.tmp", name) for name in visible(tmp_path))
    assert not list(tmp_path.rglob(INDEX))
    (partial,) = tmp_path.glob(".weights.safetensors.*.tmp/*")
    with pytest.raises(SafetensorError):
        safe_open(partial, "pt")
    finished = CliRunner().invoke(app, ["apply", "own_wide:wide", "-o", *shards])
    assert finished.exit_code == 0, finished.output
    assert {name for name in visible(tmp_path) if not name.startswith(".weights.safetensors.")} == {"weights"}
    model = nn.Sequential(*[nn.Linear(2048, 2048, bias=False) for _ in range(5)])
    load_torch_model(model, tmp_path / "weights", strict=True)
    assert all(0 < float(layer.weight.detach().std()) < 1 for layer in model)
    assert not torch.equal(model[0].weight, model[1].weight)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("output", ["weights", "weights.safetensors"])
def test_a_disk_that_fills_up_leaves_nothing_and_is_one_line(tmp_path: Path, output: str) -> None:
    arguments = ["apply", "timm:resnet18", "-o", output, "--max-shard-size", "20MB"]
    with files_of_at_most(2**20):
        failed = CliRunner().invoke(app, arguments)
    assert failed.exit_code == 1
    assert failed.stderr.startswith("error: ")
    assert "File too large" in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert visible(tmp_path) == set()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert visible(tmp_path) == {output}


def test_folders_of_living_writers_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    with staging(target) as first, staging(target) as second, staging(tmp_path / "other") as other:
        assert len({first, second, other}) == 3
        (first / "file").write_text("half")
        write_atomically(target, lambda path: path.write_text("whole"))
        assert (first / "file").read_text() == "half"
        assert second.exists()
    assert target.read_text() == "whole"
    assert visible(tmp_path) == {"weights"}


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_only_folders_left_behind_for_the_same_target_go(tmp_path: Path) -> None:
    gone = tmp_path / f".weights.{'0a' * 8}.tmp"
    kept = [tmp_path / name for name in (f".weights2.{'0' * 16}.tmp", ".weights.mine.tmp", f".weights.{'0' * 16}")]
    for folder in (gone, *kept):
        folder.mkdir()
        (folder / "file").touch()
    with staging(tmp_path / "weights"):
        assert not gone.exists()
        assert all((folder / "file").exists() for folder in kept)
