"""Times `apply` by stage, and its extra memory, for GHN-3 of the T and the XL size with random weights.

    python benchmarks/speed.py                    # T size on 5 torchvision models, XL on 2
    python benchmarks/speed.py --all              # T size on all torchvision classifiers and a selection of timm's
    python benchmarks/speed.py --reference        # beside the published code, if ghn3 and ppuda are importable
    python benchmarks/speed.py --json speed.json

Stages: trace (module to graph), paths (shortest paths of the graph), predict (the GHN up to the decoder's last layer),
write (decoding into the module, with noise off), noise (the same with the default noise, less `write`). Times are
medians of `--repeat` runs in one process. The memory is the highest resident size during `apply` less that before it,
in a process of its own for each model (Linux only).
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import platform
import re
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from rich.console import Console
from rich.table import Table

import ghn_init
from ghn_init.graph import NODE_TYPES, cache_clear, restricted, trace

SIZES = {
    "T": {"hid": 64, "layers": 3, "heads": 8, "max_shape": (64, 64, 16, 16)},
    "XL": {"hid": 384, "layers": 24, "heads": 16, "max_shape": (384, 384, 16, 16)},
}
MODELS = {
    "T": ["resnet50", "convnext_base", "efficientnet_b7", "vit_l_16", "vgg16"],
    "XL": ["resnet18", "convnext_base"],
}
TIMM = [
    "resnet50",
    "vit_base_patch16_224",
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "regnety_032",
    "deit3_small_patch16_224",
    "swin_tiny_patch4_window7_224",
    "maxvit_tiny_tf_224",
    "nfnet_f0",
    "mixer_b16_224",
]


def ghn_of(size: str) -> ghn_init.GHN:
    torch.manual_seed(0)
    return ghn_init.GHN(ghn_init.GHNConfig(num_classes=1000, **SIZES[size])).eval()


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name.startswith("timm/"):
        return timm.create_model(name.removeprefix("timm/"))
    return torchvision.models.get_model(name)


def ours(ghn: ghn_init.GHN, model: torch.nn.Module) -> dict[str, float]:
    """Seconds of each stage of one `apply` to a network that was not seen before."""
    cache_clear()
    seconds = {}
    started = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[stage], started = now - started, now

    graph = restricted(trace(model), NODE_TYPES)
    lap("trace")
    _ = graph.distances
    lap("paths")
    with torch.inference_mode():
        plan = ghn.plan(graph)
    lap("predict")
    destinations = {name: model.get_parameter(name).detach() for name in plan.names}
    plan.write_all(destinations)
    lap("write")
    plan.write_all(destinations, noise=1e-5)
    lap("noise")
    seconds["noise"] -= seconds["write"]
    seconds["graph+predict"] = sum(seconds[stage] for stage in ("trace", "paths", "predict", "write"))
    return seconds


class Published:
    """The published GHN-3 code with the same sizes; its attention is made visible to its graph builder."""

    def __init__(self, size: str) -> None:
        import torch.nn.functional as functional
        from ghn3.graph import Graph
        from ghn3.nn import GHN3

        def explicit(q: Any, k: Any, v: Any, attn_mask: Any = None, *_: Any, **__: Any) -> Any:
            scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
            return torch.softmax(scores if attn_mask is None else scores + attn_mask, dim=-1) @ v

        self._graph, self._functional, self._explicit = Graph, functional, explicit
        torch.manual_seed(0)
        extra = {"weight_norm": True, "ve": True, "layernorm": True}
        self._ghn = GHN3(num_classes=1000, **extra, **SIZES[size]).eval()

    def __call__(self, model: torch.nn.Module) -> dict[str, float]:
        """Seconds of graph construction and of prediction."""
        fused, self._functional.scaled_dot_product_attention = (
            self._functional.scaled_dot_product_attention,
            self._explicit,
        )
        try:
            started = time.perf_counter()
            graph = self._graph(model.train(), ve_cutoff=50, verbose=False)
            built = time.perf_counter()
            with torch.no_grad():
                self._ghn(model, graph)
            return {"graph": built - started, "predict": time.perf_counter() - built}
        finally:
            self._functional.scaled_dot_product_attention = fused


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}


def _status(field: str) -> int:
    (value,) = re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(value) * 1024


def _measure_memory(size: str, name: str, results: Any) -> None:
    ghn, model = ghn_of(size), build(name)
    ghn_init.apply(torchvision.models.squeezenet1_1(), ghn)  # libraries' own buffers and lazy imports
    for parameter in model.parameters():
        parameter.data.zero_()
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    ghn_init.apply(model, ghn)
    results.put(
        {
            "extra": max(0, _status("VmHWM") - before),
            "module": sum(p.numel() * p.element_size() for p in model.parameters()),
        }
    )


def memory(size: str, name: str) -> dict[str, int]:
    """Bytes of the module, and the most that `apply` took beyond it and the GHN."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_measure_memory, args=(size, name, results))
    process.start()
    found: dict[str, int] = results.get(timeout=600)
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="torchvision's classifiers and a selection of timm's")
    parser.add_argument("--size", choices=SIZES, action="append", help="default: both")
    parser.add_argument("--models", nargs="*", help="torchvision names, or timm/NAME")
    parser.add_argument("--reference", action="store_true", help="time the published code beside ours")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    console = Console(width=150)
    rows = []
    for size in arguments.size or (["T"] if arguments.all else list(SIZES)):
        names = arguments.models or MODELS[size]
        if arguments.all:
            names = [*torchvision.models.list_models(module=torchvision.models), *(f"timm/{name}" for name in TIMM)]
        ghn = ghn_of(size)
        published = Published(size) if arguments.reference else None
        for name in names:
            model = build(name)
            ours(ghn, model)  # warms up
            row: dict[str, Any] = {"size": size, "model": name, "ours": None, "published": None}
            if published is None:
                row["ours"] = median([ours(ghn, model) for _ in range(arguments.repeat)])
            else:  # in turn, so that a change of the machine's speed meets both
                pairs = [(ours(ghn, model), published(model)) for _ in range(arguments.repeat)]
                row["ours"], row["published"] = median([a for a, _ in pairs]), median([b for _, b in pairs])
                row["speed-up"] = sum(row["published"].values()) / row["ours"]["graph+predict"]
            del model
            if not arguments.no_memory:
                row["memory"] = memory(size, name)
            rows.append(row)
            console.print(name, size, f"{row['ours']['graph+predict']:.3f} s", row.get("speed-up", ""))
    show(rows, console)
    if arguments.json:
        machine = {"torch": torch.__version__, "threads": arguments.threads, "processor": platform.processor()}
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def show(rows: list[dict[str, Any]], console: Console) -> None:
    stages = ["trace", "paths", "predict", "write", "noise", "graph+predict"]
    table = Table("size", "model", *(f"{stage} ms" for stage in stages), "published ms", "speed-up", "extra memory")
    for row in rows:
        published = row["published"]
        share = row["memory"]["extra"] / row["memory"]["module"] if "memory" in row else None
        table.add_row(
            row["size"],
            row["model"],
            *(f"{row['ours'][stage] * 1e3:.1f}" for stage in stages),
            "" if published is None else f"{published['graph'] * 1e3:.0f} + {published['predict'] * 1e3:.0f}",
            "" if published is None else f"{row['speed-up']:.1f}",
            "" if share is None else f"{share:.1%}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
