"""Times `trace`, shortest paths and the GHN, and their memory, against the number of nodes of the graph.

    python benchmarks/scaling.py                                # everything; writes scaling.md beside this file
    python benchmarks/scaling.py --sizes 500 1000 --models resnet50 --ghns default --json /tmp/s.json --out /tmp/s.md

Networks: chains of linear layers, chains of residual blocks, dense blocks (each layer takes all 32 before it), and the
models of timm with the largest graphs. All on the meta device, where only the graph counts.

Each network has a process of its own, with one thread. Stages: key (what the graph cache goes by), trace, paths, the
node states of each GHN (encoder and GNN, no decoder), and the plan of the default one (the states and all of the
decoder but its last layer). With --json, results are kept in that file, and further runs add to them. Memory is the
highest resident size during a stage less that before it (Linux only).
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

import ghn_init
from ghn_init.graph import trace
from ghn_init.graph.fingerprint import fingerprint

SIZES = (500, 1000, 2000, 5000)
MODELS = ("efficientnet_b7", "nfnet_f7", "mvitv2_huge_cls", "resnetrs420")
DENSE = 32
GHNS: dict[str, dict[str, Any] | None] = {
    "default": None,
    "XL": {"hid": 384, "layers": 24, "heads": 16},
    "GHN-2": {"hid": 32, "gnn": "gatedgnn", "centred_kernels": False},
}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layer(x)


class Dense(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8 * min(n + 1, DENSE), 8, bias=False) for n in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [x]
        for layer in self.layers:
            found.append(layer(torch.cat(found[-DENSE:], dim=-1)))
        return found[-1]


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "chain": lambda size: nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(size - 1))),
    "residual": lambda size: nn.Sequential(*(Residual() for _ in range(size // 2))),
    "dense": lambda size: Dense(size // 2),
}


def build(name: str, size: int | None) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name) if size is None else NETWORKS[name](size)


def ghn_of(name: str) -> ghn_init.GHN:
    options = GHNS[name]
    if options is None:
        return ghn_init.load("default").eval()
    torch.manual_seed(0)
    return ghn_init.GHN(ghn_init.GHNConfig(max_shape=(16, 16, 7, 7), num_classes=1000, **options)).eval()


def _status(field: str) -> int:
    (value,) = re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(value) * 1024


def measured(function: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call returns, and its processor seconds and bytes."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    started = time.process_time()
    result = function()
    seconds = time.process_time() - started
    return result, {"seconds": seconds, "bytes": max(0, _status("VmHWM") - before)}


def point(name: str, size: int | None, ghns: list[str]) -> dict[str, Any]:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    fresh = trace.__wrapped__  # type: ignore[attr-defined]
    fresh(build("resnet18", None))  # lazy imports
    module = build(name, size)
    stages = {}
    _, stages["key"] = measured(lambda: fingerprint(module))
    graph, stages["trace"] = measured(lambda: fresh(module))
    _, stages["paths"] = measured(lambda: graph.distances)
    for kind in ghns:
        ghn = ghn_of(kind)
        with torch.inference_mode():
            ghn.plan(fresh(build("resnet18", None)))  # lazy set-up
            _, stages[f"states {kind}"] = measured(lambda ghn=ghn: ghn.embed([graph]))
            if kind == "default":
                _, stages["plan default"] = measured(lambda ghn=ghn: ghn.plan(graph))
    return {"network": name, "nodes": len(graph), "edges": len(graph.edges), "stages": stages}


def in_process(name: str, size: int | None, ghns: list[str]) -> dict[str, Any]:
    given = json.dumps({"name": name, "size": size, "ghns": ghns})
    command = [sys.executable, __file__, "--point", given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ({size}): {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(rows: list[dict[str, Any]]) -> str:
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    lines = ["| network | nodes | edges | " + " | ".join(stages) + " |", "| --- " * (3 + len(stages)) + "|"]
    for row in rows:
        found = (row["stages"].get(stage) for stage in stages)
        cells = (f"{s['seconds']:.3f} s, {s['bytes'] / 2**20:.0f} MB" if s else "" for s in found)
        lines.append(f"| {row['network']} | {row['nodes']} | {row['edges']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ghns", nargs="*", choices=GHNS, default=list(GHNS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("scaling.md"))
    parser.add_argument("--json", type=Path, help="results so far")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(point(**json.loads(arguments.point))))
        return
    points: list[tuple[str, int | None]] = [(name, size) for name in arguments.networks for size in arguments.sizes]
    points += [(name, None) for name in arguments.models]
    keep = arguments.json is not None and arguments.json.exists()
    rows: dict[str, dict[str, Any]] = json.loads(arguments.json.read_text()) if keep else {}
    with Progress(console=Console(stderr=True)) as progress:
        for name, size in progress.track(points, description="networks"):
            row, key = in_process(name, size, arguments.ghns), f"{name} {size}"
            rows[key] = row | {"stages": rows.get(key, row)["stages"] | row["stages"]}
            if arguments.json is not None:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
            text = HEADER.format(processor=platform.processor() or platform.machine(), torch=torch.__version__)
            arguments.out.write_text(f"{text}\n{table(list(rows.values()))}\n")


HEADER = """# Time and memory against the number of nodes

Written by `python benchmarks/scaling.py`: {processor}, torch {torch}, one thread; processor seconds, and the highest
resident size during the stage less that before it. "states": encoder and GNN of the default checkpoint, of a GHN-3
with the XL size's GNN (24 layers, width 384, 16 heads) and of a GHN-2; "plan": all but the decoder's last layer.
"""

if __name__ == "__main__":
    main()
