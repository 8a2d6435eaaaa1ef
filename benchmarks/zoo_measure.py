"""One network of a zoo: built without memory, traced, and what became of its parameters."""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import time
import traceback
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.models import model_entrypoint
from torch import nn

import ghn_init
from ghn_init.graph import restricted
from ghn_init.zoo import find_model

TRANSFORMERS = Path(__file__).with_name("zoo_transformers.json")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def names_of(zoo: str) -> list[str]:
    """All networks of a zoo; none where the library is not installed."""
    if zoo == "timm":
        return list(timm.list_models())
    if zoo == "torchvision":
        return list(torchvision.models.list_models())
    try:
        import transformers  # noqa: F401
    except ImportError:
        return []
    return list(_small_transformers())


def _small_transformers() -> dict[str, dict[str, Any]]:
    """Small configurations, and shapes of inputs for them, by model class."""
    return dict(json.loads(TRANSFORMERS.read_text()))


def build(zoo: str, name: str) -> nn.Module:
    """The network on the meta device, where its constructor allows that."""
    if zoo != "transformers":
        return find_model(f"{zoo}:{name}").skeleton()
    import transformers

    model_class = getattr(transformers, name)
    with torch.device("meta"):
        model: nn.Module = model_class(model_class.config_class(**_small_transformers()[name]["config"]))
    return model


def family_of(zoo: str, name: str) -> str:
    """timm's module of the network, torchvision's kind of task, transformers' folder."""
    if zoo == "timm":
        return str(model_entrypoint(name).__module__).rpartition(".")[2]
    if zoo == "torchvision":
        parts = torchvision.models.get_model_builder(name).__module__.split(".")
        return parts[2] if len(parts) > 3 else "classification"
    import transformers

    return str(getattr(transformers, name).__module__).split(".")[2]


def measure(zoo: str, name: str) -> dict[str, Any]:
    """What the sweep records of a network: see `zoo_sweep.py`. Errors are part of the record."""
    record: dict[str, Any] = {"zoo": zoo, "name": name, "stage": "create"}
    torch.set_num_threads(1)
    gc.collect()
    before = _start_peak()
    started = time.perf_counter()
    try:
        record["family"] = family_of(zoo, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = build(zoo, name)
        record["create_s"] = time.perf_counter() - started
        parameters = dict(model.named_parameters())
        record["device"] = next((str(p.device) for p in parameters.values()), "meta")
        record["classifier"] = int(getattr(model, "num_classes", 0) or 0) > 0
        record["stage"] = "trace"
        started = time.perf_counter()
        graph = ghn_init.trace(model)
        record["trace_s"] = time.perf_counter() - started
        record["stage"] = "count"
        record |= _coverage(graph, parameters)
        del record["stage"]
    except Exception as error:  # noqa: BLE001  (the record says what went wrong)
        record["error"] = f"{type(error).__name__}: {error}"[:500]
        record["where"] = traceback.format_tb(error.__traceback__)[-1].strip().splitlines()[0]
    record["extra_mb"] = max(_peak() - before, 0) / 2**20
    return record


def _coverage(graph: ghn_init.ArchGraph, parameters: dict[str, nn.Parameter]) -> dict[str, Any]:
    sizes = {name: parameter.numel() for name, parameter in parameters.items() if parameter.requires_grad}
    default = restricted(graph, _vocabulary())
    total = sum(sizes.values())
    in_graph = total - sum(sizes.get(name, 0) for name in graph.left_out)
    predicted = total - sum(sizes.get(name, 0) for name in default.left_out)
    reasons: Counter[str] = Counter()
    for name, reason in default.left_out.items():
        reasons[reason] += sizes.get(name, 0)
    return {
        "traced": graph.traced,
        "nodes": len(graph),
        "edges": len(graph.edges),
        "types": dict(graph.counts().most_common()),
        "parameters": total,
        "in_graph": in_graph / total if total else 1.0,
        "share": predicted / total if total else 1.0,
        "reasons": dict(reasons),
        "left_alone": {name: [list(parameters[name].shape), reason] for name, reason in default.left_out.items()},
        "not_understood": dict(graph.not_understood),
    }


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[str, ...]:
    return tuple(ghn_init.load().config.node_types)


def _start_peak() -> int:
    """Resident bytes now; the highest from here on is `_peak` (on Linux; elsewhere, the highest of the process)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")
    return _peak()


def _peak() -> int:
    if _CLEAR.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
