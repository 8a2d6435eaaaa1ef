"""The classifier head, fitted to labelled examples while all before it stays as it is."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from ghn_init.calibration.batches import arguments_of
from ghn_init.calibration.errors import CalibrationError
from ghn_init.calibration.ridge import ridge
from ghn_init.calibration.state import batch_norms, measuring
from ghn_init.graph import trace
from ghn_init.graph.symbolic import required_arguments

logger = logging.getLogger(__name__)

#: Examples for each class, where nobody says how many (``benchmarks/comparison.md``).
PER_CLASS = 10
_LABELS = ("labels", "label")


@dataclasses.dataclass(frozen=True)
class HeadFit:
    """What `fit_head` did.

    Attributes:
        heads: the weights that were written, by name.
        examples: how many there were.
        batches: of how many batches.
        classes: how many different classes these were of.
        loss: mean cross-entropy of the examples, each with the head that is fitted to the others; over heads.
        accuracy: likewise, in [0, 1].
    """

    heads: tuple[str, ...]
    examples: int
    batches: int
    classes: int
    loss: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"fitted {', '.join(self.heads)} to {self.examples} examples of {self.classes} classes: each predicted "
            f"from the others, accuracy {self.accuracy:.1%}, cross-entropy {self.loss:.3f}"
        )


def fit_head(
    module: nn.Module,
    loader: Iterable[Any],
    *,
    examples: int | None = None,
    batch_norm: bool = True,
    example_inputs: Any = None,
    seed: int = 0,
) -> HeadFit:
    """Fits the classifier head to some labelled examples, in place: a good first step on data that a GHN never saw.

    The features before the head are computed once, without gradients, with batch norms on the statistics of batches and
    dropout off, and the head is solved for in closed form (`ghn_init.calibration.ridge`). To train a network from there
    is linear probing then fine-tuning (Kumar et al., 2022, Fine-tuning can distort pretrained features and underperform
    out-of-distribution), with a probe of a few batches. All else, training modes included, stays as it is, and on an
    error everything does.

    Args:
        module: a network whose classifier head is a linear layer or a 1x1 convolution, or has several of these.
        loader: an iterable of (images, labels), whose last element is the labels, or of dicts with "labels" or "label";
            labels are int64, (n,). No more batches are taken than needed.
        examples: how many to use at least, as long as there are any; by default ten for each class.
        batch_norm: whether batch norms get the statistics of these examples as running ones, as
            `ghn_init.reestimate_batch_norm` gives them: those of a new network, 0 and 1, do not fit predicted weights.
        example_inputs: as for `ghn_init.trace`.
        seed: of what is random in the network's own code.

    Raises:
        CalibrationError: there is no such head, fewer than two examples, labels that do not fit, or features that are
            not finite.
        TraceError: the module cannot be traced.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        raise CalibrationError(
            f"{type(module).__name__} has parameters on the meta device, which make no features; call "
            "module.to_empty(device=...) and write its weights first"
        )
    if examples is not None and examples < 2:
        raise CalibrationError(f"a head is fitted to two examples or more, got examples={examples}")
    heads = _heads(module, example_inputs)
    classes = min(head.weight.shape[0] for head in heads.values())
    wanted = PER_CLASS * classes if examples is None else examples
    features: dict[str, list[Tensor]] = {name: [] for name in heads}
    labels: list[Tensor] = []
    norms = [norm for norm in batch_norms(module) if batch_norm and norm.running_mean is not None]
    hooks = [head.register_forward_pre_hook(_keeper(features[name])) for name, head in heads.items()]
    try:
        with torch.no_grad(), measuring(module, seed=seed):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the mean over batches
            for item in loader:
                labels.append(_labels(module, item, classes))
                module(**arguments_of(module, item))
                if sum(map(len, labels)) >= wanted:
                    break
            statistics = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers(recurse=False)]
    finally:
        for hook in hooks:
            hook.remove()
    count = sum(map(len, labels))
    if count < 2:
        raise CalibrationError(f"a head is fitted to two examples or more, the loader has {count}")
    target = torch.cat(labels)
    fits = {}
    for name, head in heads.items():
        found = [_flat(name, inputs, len(own)) for inputs, own in zip(features[name], labels, strict=False)]
        if len(features[name]) != len(labels):
            raise CalibrationError(
                f"{name} is used {len(features[name])} times for {len(labels)} batches, not once each"
            )
        x = torch.cat(found)
        if not x.isfinite().all():
            raise CalibrationError(f"the features before {name} are not finite; ghn_init.calibrate may help")
        fits[name] = ridge(x, target.to(x.device), head.weight.shape[0], intercept=head.bias is not None)
    with torch.no_grad():
        for name, head in heads.items():
            head.weight.copy_(fits[name].weight.view(head.weight.shape))
            if head.bias is not None:
                head.bias.copy_(fits[name].bias)
        for buffer, values in statistics:
            buffer.copy_(values)
    report = HeadFit(
        heads=tuple(f"{name}.weight" for name in heads),
        examples=count,
        batches=len(labels),
        classes=len(set(target.tolist())),
        loss=sum(fit.loss for fit in fits.values()) / len(fits),
        accuracy=sum(fit.accuracy for fit in fits.values()) / len(fits),
    )
    logger.info("%s", report)
    return report


def _heads(module: nn.Module, example_inputs: Any) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that make the logits, by name."""
    graph = trace(module, example_inputs=example_inputs)
    names = [node.param for node in graph.nodes if node.head and node.param is not None and len(node.shape or ()) > 1]
    if not names:
        raise CalibrationError(f"{type(module).__name__} has no classifier head to fit")
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    for name in dict.fromkeys(names):
        path = name.rpartition(".")[0]
        layer = module.get_submodule(path)
        if not _is_linear(layer) or layer.weight is not module.get_parameter(name):
            raise CalibrationError(
                f"the head of {type(module).__name__}, {name}, is of a {type(layer).__name__}: what can be fitted is a "
                "linear layer or a 1x1 convolution"
            )
        found[path] = layer
    return found


def _is_linear(layer: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.kernel_size == (1, 1)
    return isinstance(layer, nn.Linear)


def _keeper(kept: list[Tensor]) -> Any:
    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        kept.append(arguments[0].detach())

    return keep


def _flat(name: str, inputs: Tensor, count: int) -> Tensor:
    """One row of features for each example."""
    single = inputs.dim() > 1 and inputs[:1].numel() == inputs.shape[1]
    if single and len(inputs) != count:
        raise CalibrationError(f"{name} gets {len(inputs)} examples in a batch that has {count} labels")
    if not single:
        raise CalibrationError(
            f"{name} gets inputs of shape {tuple(inputs.shape)} for {count} labels: it gives no single vector of "
            "logits to each example"
        )
    return inputs.flatten(1)


def _labels(module: nn.Module, item: Any, classes: int) -> Tensor:
    if isinstance(item, Mapping):
        labels = next((item[name] for name in _LABELS if name in item), None)
    elif isinstance(item, (tuple, list)) and len(item) > len(required_arguments(module)):
        labels = item[-1]
    else:
        labels = None
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        raise CalibrationError(
            "a head is fitted to batches of (images, labels), or dicts with labels, where labels are whole numbers of "
            f"shape (n,); got {_described(item, labels)}"
        )
    labels = labels.detach().long()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise CalibrationError(
            f"labels from {int(labels.min())} to {int(labels.max())} do not fit a head of {classes} classes"
        )
    return labels


def _described(item: Any, labels: Any) -> str:
    if isinstance(labels, Tensor):
        return f"labels of shape {tuple(labels.shape)} and {labels.dtype}"
    return f"a {type(item).__name__} without labels" if labels is None else f"labels of type {type(labels).__name__}"
