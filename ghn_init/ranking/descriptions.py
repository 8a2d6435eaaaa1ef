"""Networks as JSON, as far as JSON can say what they are, and built from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from ghn_init import deepnets
from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.subjects import NamedNetwork, SplitNetwork, Subject
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.networks import GeneratedNetwork, ModuleNetwork

#: What a name may begin with that stands for no code of one's own.
_ZOOS = ("", "timm", "torchvision")


@dataclasses.dataclass(frozen=True)
class Builder:
    """What a reader gives to build networks that JSON alone does not describe; see `ghn_init.ranking.load_kept`."""

    generator: Callable[[int], Any] | None = None
    own_code: bool = False


_Build = Callable[[dict[str, Any], int, int, Builder], nn.Module]


def describe(subject: Subject) -> dict[str, Any]:
    """A network as JSON types, with its "kind"."""
    for cls, (kind, to_dict, _) in _KINDS.items():
        if isinstance(subject, cls):
            return {"kind": kind, **to_dict(subject)}
    return {"kind": "own", "index": subject.place}


def build_described(data: dict[str, Any], num_classes: int, image_size: int, builder: Builder) -> nn.Module:
    """The network that `describe` described, with random weights, in evaluation mode.

    Raises:
        RankingError: what `builder` lacks is needed.
        KeyError, TypeError, ValueError: the description is damaged.
    """
    builders: dict[str, _Build] = {kind: build for kind, _, build in _KINDS.values()}
    return builders.get(data["kind"], _build_own)(data, num_classes, image_size, builder)


def _split_to_dict(subject: SplitNetwork) -> dict[str, Any]:
    architecture = deepnets.sample(subject.split, subject.index)
    return {"split": subject.split, "index": subject.index, "genotype": architecture.to_dict()}


def _build_split(data: dict[str, Any], num_classes: int, image_size: int, builder: Builder) -> nn.Module:
    return deepnets.from_dict(data["genotype"]).build(num_classes, image_size)


def _named_to_dict(subject: NamedNetwork) -> dict[str, Any]:
    return {"model": subject.model, "options": dict(subject.options), "small_images": subject.small_images}


def _build_named(data: dict[str, Any], num_classes: int, image_size: int, builder: Builder) -> nn.Module:
    zoo = data["model"].rpartition(":")[0]
    if not builder.own_code and (zoo not in _ZOOS or not all(map(_harmless, data["options"].values()))):
        raise RankingError(
            f"{data['model']} or the options of its constructor may run code or read files: pass own_code=True if you "
            "trust the files that name them"
        )
    options = tuple(sorted(data["options"].items()))
    return NamedNetwork(data["model"], options, data["small_images"]).build(num_classes, image_size)


def _harmless(value: Any) -> bool:
    """Whether an option of a constructor is numbers only; texts may be paths."""
    return all(map(_harmless, value)) if isinstance(value, list) else isinstance(value, (int, float, type(None)))


def _index(subject: Subject) -> dict[str, Any]:
    return {"index": subject.place}


def _build_own(data: dict[str, Any], num_classes: int, image_size: int, builder: Builder) -> nn.Module:
    if builder.generator is None:
        raise RankingError(
            f"network {data['index']} was made by a function or given as a module, which files do not hold: pass what "
            "makes it from that index as generator="
        )
    made = builder.generator(int(data["index"]))
    if isinstance(made, nn.Module):
        return use_batch_statistics(made.eval())
    built: nn.Module = made.build(num_classes, image_size)
    return built


_KINDS: dict[type, tuple[str, Callable[[Any], dict[str, Any]], _Build]] = {
    SplitNetwork: ("split", _split_to_dict, _build_split),
    NamedNetwork: ("named", _named_to_dict, _build_named),
    GeneratedNetwork: ("generated", _index, _build_own),
    ModuleNetwork: ("module", _index, _build_own),
}
