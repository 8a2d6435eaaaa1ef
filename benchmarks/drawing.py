"""How long drawing takes, stage by stage, in seconds of one processor core: ``python benchmarks/drawing.py``.

Libraries are loaded before the clock starts; tracing and prediction are not part of drawing. ``--pictures`` writes
the README's picture anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import ghn_init
from ghn_init import deepnets
from ghn_init.drawing import draw
from ghn_init.graph import ArchGraph
from ghn_init.zoo import find_model

NAMES = (
    "timm:resnet50",
    "timm:vit_base_patch16_224",
    "timm:densenet121",
    "timm:efficientnet_b0",
    "split:test:1",
    "timm:efficientnet_b7",
    "timm:nasnetalarge",
)
PICTURES = Path(__file__).parent / "drawings"


def graph_of(name: str) -> ArchGraph:
    if name.startswith("split:"):
        _, split, index = name.split(":")
        return deepnets.sample(split, int(index)).graph(10, 32)
    return ghn_init.trace(find_model(name).skeleton())


def seconds(graph: ArchGraph, path: Path, fold: bool) -> float:
    started = time.process_time()
    draw(graph, path, fold=fold)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true", help="write the README's picture")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("network", "nodes", "edges", "folded", "boxes", "svg s", "svg kB", "png s", "page s", "page kB")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("svg", "png", "html"):  # loads igraph, scipy, matplotlib, jinja2
            draw(graph_of("split:search:0"), Path(folder) / f"x.{suffix}")
        for name in NAMES:
            graph = graph_of(name)
            for fold in (True, False):
                file = Path(folder) / "x"
                svg, png, page = (file.with_suffix(suffix) for suffix in (".svg", ".png", ".html"))
                spent = {path: seconds(graph, path, fold) for path in (svg, png, page)}
                boxes = len(draw(graph, fold=fold).outline.boxes)
                sizes = {path: f"{path.stat().st_size / 1000:.0f}" for path in spent}
                times = {path: f"{spent[path]:.2f}" for path in spent}
                table.add_row(
                    name,
                    str(len(graph)),
                    str(len(graph.edges)),
                    "yes" if fold else "no",
                    str(boxes),
                    times[svg],
                    sizes[svg],
                    times[png],
                    times[page],
                    sizes[page],
                )
    Console(width=120).print(table)
    if arguments.pictures:
        PICTURES.mkdir(exist_ok=True)
        draw(graph_of("timm:resnet50"), PICTURES / "resnet50.svg", title="ResNet-50")


if __name__ == "__main__":
    main()
