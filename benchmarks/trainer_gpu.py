"""Architecture-steps a second of `ghn-init train` by processes that share one device, and how busy they keep it.

    python benchmarks/trainer_gpu.py --data train.parquet --processes 1 4 8 14 --markdown trainer_gpu.md
    python benchmarks/trainer_gpu.py --data train.parquet --preset ghn3-t --workers 1 --seconds 60
    python benchmarks/trainer_gpu.py --data train.parquet --preset tiny --device cpu --processes 1 2 --seconds 20

Each number of processes trains for `--seconds` in a folder of its own, and stops. Counted is what the log says after
its first lines, in which processes start, architectures are first built and kernels are chosen. "busy" is the median of
what `nvidia-smi` says of the device's utilisation in the same time, "memory" the most it says. GHN-2's whole budget is
1.9 million architecture-steps: the last column says how long that takes.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ghn_init.rendering import as_text
from ghn_init.training.logbook import read_log

#: Architecture-steps of GHN-2 on CIFAR-10 (Knyazev et al., 2021, section 5).
BUDGET = 1.9e6
#: Steps between lines of the log, and lines that do not count.
EVERY, WARM_UP = 5, 2
QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")


def sample_device() -> tuple[float, float] | None:
    """Utilisation in per cent and memory in MiB of the first GPU; None without `nvidia-smi`."""
    if shutil.which(QUERY[0]) is None:
        return None
    answer = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    busy, memory = answer.split(",")
    return float(busy), float(memory)


def train(processes: int, arguments: argparse.Namespace, out: Path) -> tuple[float, list[tuple[float, float]]]:
    """Architecture-steps a second, and what the device said meanwhile."""
    command = [sys.executable, "-m", "ghn_init", "train", "--data", arguments.data, "--out", str(out)]
    command += ["--preset", arguments.preset, "--device", arguments.device, "--processes", str(processes)]
    command += ["--meta-batch", str(max(arguments.meta_batch, processes)), "--workers", str(arguments.workers)]
    command += ["--steps", "1000000", "--log-every", str(EVERY), "--eval-networks", "0", "--no-tensorboard"]
    log, seen, started = out / "log.csv", [], None
    with (out.parent / f"{out.name}.txt").open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as run:
        try:
            while started is None or time.monotonic() - started < arguments.seconds:
                time.sleep(0.5)
                if run.poll() is not None:
                    said.flush()
                    sys.exit(f"training with {processes} processes ended:\n{Path(said.name).read_text()}")
                if started is None:
                    started = time.monotonic() if len(read_log(log)) >= WARM_UP else None
                elif (found := sample_device()) is not None:
                    seen.append(found)
        finally:
            run.send_signal(signal.SIGTERM)
    counted = read_log(log)[WARM_UP - 1 :]
    if len(counted) < 2:
        sys.exit(f"{processes} processes took longer than {arguments.seconds:g} s for {EVERY} steps: raise --seconds")
    first, last = counted[0], counted[-1]
    taken = float(last["seconds"]) - float(first["seconds"])
    return (int(last["architecture_steps"]) - int(first["architecture_steps"])) / taken, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="as for ghn-init train")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 8, 14])
    parser.add_argument("--workers", type=int, default=0, help="processes a rank that prepare architectures ahead")
    parser.add_argument("--meta-batch", type=int, default=8, help="or one a process, where that is more")
    parser.add_argument("--seconds", type=float, default=45, help="measured, for each number of processes")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    arguments = parser.parse_args()
    table = Table("processes", "a second", "busy", "memory", "1.9 million", box=box.MARKDOWN)
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        for processes in arguments.processes:
            rate, seen = train(processes, arguments, Path(folder) / f"run{processes}")
            busy = f"{statistics.median(one[0] for one in seen):.0f} %" if seen else ""
            memory = f"{max(one[1] for one in seen) / 1024:.1f} GiB" if seen else ""
            row = (str(processes), f"{rate:.2f}", busy, memory, f"{BUDGET / rate / 3600:.1f} h")
            console.print("  ".join(row))
            table.add_row(*row)
    console.print(table)
    if arguments.markdown:
        about = f"Preset {arguments.preset}, {arguments.seconds:g} s for each number of processes, {arguments.device}."
        arguments.markdown.write_text(f"# Speed of the trainer on one device\n\n{about}\n\n{as_text(table)}\n")


if __name__ == "__main__":
    main()
