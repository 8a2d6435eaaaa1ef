"""Model cards: the README.md of a checkpoint, with the Hub's metadata header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ghn_init.checkpoints.info import CheckpointInfo

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_KINDS = {
    "graphormer": "a Graphormer (GHN-3; Knyazev et al., 2023)",
    "gatedgnn": "a gated graph network (GHN-2; Knyazev et al., 2021)",
    "mlp": "an MLP on each node by itself (the baseline without edges of Knyazev et al., 2021)",
}

_REPEATED = "blocks of up to {block}"
_BLOCKS = {
    "conv": _REPEATED,
    "mlp": _REPEATED,
    "lowrank": "weights of rank {rank} of up to {block} (LoGAH; Zhou et al., 2024)",
}


def card(info: CheckpointInfo) -> str:
    """The text of a checkpoint's README.md, made from its ``config.json`` alone."""
    parts = [_header(info), f"# {info.name}", info.description or "A Graph HyperNetwork."]
    if info.ghn is not None:
        block = " x ".join(map(str, info.ghn.max_shape))
        made = _BLOCKS[info.ghn.decoder].format(block=block, rank=info.ghn.rank)
        parts.append(
            "A Graph HyperNetwork predicts the parameters of a neural network from the network's graph. This one is "
            f"{_KINDS[info.ghn.gnn]} of width {info.ghn.hid}. It makes {made}, which larger parameters "
            f"repeat, and classifier heads of {info.ghn.num_classes} classes."
        )
    parts.append(_usage(info))
    for title, content in (("Training", info.training), ("Evaluation", info.evaluation)):
        if content:
            parts.append(f"## {title}\n\n{_list(content)}")
    if info.source is not None:
        place, address = info.source.repo_id, f"https://huggingface.co/{info.source.repo_id}"
        if info.source.page is not None:
            place = address = info.source.page
        parts.append(
            f"## Source\n\nConverted from `{info.source.file}` of [{place}]({address}), whose authors trained it."
        )
    if info.references:
        parts.append("## References\n\n" + "\n".join(f"- <{address}>" for address in info.references))
    return "\n\n".join(parts) + "\n"


def _header(info: CheckpointInfo) -> str:
    from huggingface_hub import ModelCardData

    results = list(_measured(info.evaluation))
    data = ModelCardData(
        license=info.license,
        library_name="ghn-init",
        tags=["graph-hypernetwork", "weight-initialization"],
        model_name=info.name if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml(line_break=chr(10))}\n---"


def _measured(evaluation: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The accuracies as the Hub's model index has them: those of which the data are named."""
    from huggingface_hub import EvalResult

    for key, found in evaluation.items():
        data, _, networks = key.rpartition(": ")
        named = data or evaluation.get("data")
        if not named or not isinstance(named, str) or not isinstance(found, Mapping):
            continue
        value = found.get("top1", found.get("mean"))
        if isinstance(value, (int, float)):
            mean = f", mean of {found['networks']} networks" if "networks" in found else ""
            yield EvalResult(
                task_type="image-classification",
                dataset_type=named,
                dataset_name=named,
                metric_type="accuracy",
                metric_name=f"top-1 accuracy without training, {networks}{mean}",
                metric_value=value,
            )


def _usage(info: CheckpointInfo) -> str:
    name = info.name
    if info.source is not None and info.source.page is not None:
        name = f"path/to/{info.source.file}"
    return (
        "## Use\n\n```python\nimport ghn_init, timm\n\n"
        f'model = ghn_init.apply(timm.create_model("resnet50"), ghn={json.dumps(name)})\n```'
    )


def _list(content: Mapping[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_inline(value)}" for key, value in content.items())


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')} {_inline(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inline, value))
    return str(value)
