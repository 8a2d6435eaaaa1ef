"""Time and peak memory of `ghn-init apply MODEL -o FOLDER`, beside writing as many bytes to the same disk.

Each network is a process of its own, so that its peak resident memory is its own. The weights are deleted.

    python benchmarks/large.py vit_giant_patch14_dinov2 vit_7b_patch16_dinov3 --dtype bfloat16 --folder /tmp
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

BLOCK = 2**24


def plain_write(path: Path, size: int) -> float:
    """Seconds to write so many random bytes and have them on the disk."""
    block = os.urandom(BLOCK)
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for start in range(0, size, BLOCK):
            file.write(block[: min(BLOCK, size - start)])
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    path.unlink()
    return seconds


def apply(model: str, output: Path, dtype: str, ghn: str) -> dict[str, object]:
    """Runs the command; its report, with what the system says that the process took."""
    arguments = [sys.executable, "-m", "ghn_init.cli", "apply", model, "-o", str(output), "--dtype", dtype]
    started = time.perf_counter()
    with subprocess.Popen([*arguments, "--ghn", ghn, "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    took = {"total": time.perf_counter() - started, "cpu": usage.ru_utime + usage.ru_stime}
    return json.loads(text) | took | {"peak": usage.ru_maxrss / 2**20}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="networks of timm or torchvision, or module:function")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--ghn", default="default")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to write, and delete")
    options = parser.parse_args()
    table = Table(box=None)
    for column in (
        "model",
        "nodes",
        "predicted",
        "GB",
        "peak GiB",
        "s",
        "before saving",
        "saving",
        "CPU s",
        "plain write",
    ):
        table.add_column(column, justify="left" if column == "model" else "right")
    for model in options.models:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            output = Path(folder) / "weights"
            report = apply(model, output, options.dtype, options.ghn)
            shutil.rmtree(output)
            plain = plain_write(Path(folder) / "plain", report["bytes"])
        seconds = report["seconds"]
        table.add_row(
            model,
            str(sum(report["nodes"].values())),
            f"{report['share']:.2%}",
            f"{report['bytes'] / 1e9:.2f}",
            f"{report['peak']:.2f}",
            f"{report['total']:.1f}",
            f"{report['total'] - seconds['save']:.1f}",
            f"{seconds['save']:.1f}",
            f"{report['cpu']:.1f}",
            f"{plain:.1f} s",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
