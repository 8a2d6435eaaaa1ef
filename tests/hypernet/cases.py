"""Graphs of the reference, GHNs with its weights, and little graphs of our own."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import torch
import torchvision

from ghn_init.graph.arch import ArchGraph, Node
from ghn_init.hypernet import GHN, GHNConfig

DATA = Path(__file__).parents[1] / "data"


def records(name: str) -> dict[str, dict]:
    lines = gzip.decompress((DATA / name).read_bytes()).splitlines()
    return {record["model"]: record for record in map(json.loads, lines)}


@cache
def reference_graph(name: str) -> ArchGraph:
    """The graph that the published code built for a torchvision model, in our data type."""
    record = records("graphs.jsonl.gz")[name]
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    # torchvision computes RegNet's widths with tensors, which must hold numbers.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        module = torchvision.models.get_model(name, **extra)
    shapes = {key: tuple(parameter.shape) for key, parameter in module.named_parameters()}
    last = len(record["nodes"]) - 2
    nodes = [
        Node(
            type=node_type,
            param=param,
            shape=None if shape is None else tuple(shape),
            param_shape=None if param is None else shapes[param],
            rider=param.removesuffix("weight") + "bias" if node_type in ("bn", "ln") else None,
            head=index >= last,
        )
        for index, (node_type, param, shape) in enumerate(record["nodes"])
    ]
    return ArchGraph(tuple(nodes), tuple((start, end) for start, end in record["edges"]))


def little_graph(name: str = "a") -> ArchGraph:
    """A branching network with every kind of parameter."""
    nodes = (
        Node("input"),
        Node("conv", f"{name}.stem", (24, 3, 5, 5)),
        Node("bias", f"{name}.stem_bias", (24,)),
        Node("bn", f"{name}.norm", (24,), rider=f"{name}.norm_bias"),
        Node("sep_conv", f"{name}.depthwise", (24, 1, 3, 3)),
        Node("conv", f"{name}.wide", (10, 24, 1, 7)),
        Node("max_pool", None, (1, 1, 3, 3)),
        Node("conv", f"{name}.linear", (40, 24)),
        Node("sum"),
        Node("pos_enc", f"{name}.table", (1, 40, 4, 4), (1, 17, 40)),
        Node("conv", f"{name}.patches", (6, 3, 12, 12)),
        Node("conv", f"{name}.line", (9, 20, 3)),
        Node("conv", f"{name}.volume", (9, 20, 2, 3, 3)),
        Node("sep_conv", f"{name}.scale", (24, 1, 1, 1), (24, 1, 1)),
        Node("glob_avg"),
        Node("conv", f"{name}.head", (7, 40), (7, 40, 1, 1), head=True),
        Node("bias", f"{name}.head_bias", (7,), head=True),
    )
    chain = [(index, index + 1) for index in range(len(nodes) - 1)]
    return ArchGraph(nodes, (*chain, (1, 8), (4, 8), (0, 9), (8, 14)))


def config(**changes: object) -> GHNConfig:
    values: dict = {"max_shape": (16, 12, 9, 9), "num_classes": 7, "hid": 16, "layers": 2, "heads": 4}
    return GHNConfig(**(values | changes))


#: One of each kind of GHN, and some in between.
CONFIGS = {
    "ghn3": config(),
    "ghn3, direct edges": config(virtual_edges=False),
    "ghn3, raw": config(weight_norm=False, layernorm=False),
    "ghn2": config(gnn="gatedgnn", centred_kernels=False),
    "ghn1": config(
        gnn="gatedgnn",
        decoder="mlp",
        max_shape=(12, 12, 9, 9),
        virtual_edges=False,
        layernorm=False,
        weight_norm=False,
        centred_kernels=False,
    ),
    "mlp": config(gnn="mlp"),
    "logah": config(decoder="lowrank", rank=4, factor_rows=150),
}


def make(configuration: GHNConfig) -> GHN:
    """A GHN whose every weight differs from 0, so that nothing goes unnoticed."""
    torch.manual_seed(0)
    ghn = GHN(configuration)
    with torch.no_grad():
        for parameter in ghn.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return ghn
