"""Which networks to rank: names, patterns, splits, modules."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import timm
import torchvision
from torch import nn

from ghn_init.deepnets import SPLIT_SIZES
from ghn_init.errors import ModelNotFoundError
from ghn_init.evaluation.errors import EvaluationError
from ghn_init.evaluation.subjects import SplitNetwork, Subject, named_networks, split_networks
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.networks import ModuleNetwork, is_subject

#: One network, or several by a pattern.
Model = str | nn.Module | Subject
Models = Model | Mapping[str, nn.Module] | Iterable[Model]

_PATTERN = re.compile(r"[*?\[]")
_SPLIT = re.compile(r"split:(?P<split>\w+)(:(?P<first>\d+)(-(?P<last>\d+))?)?")


def select(models: Models, options: Mapping[str, Any] | None = None, *, small_images: bool = True) -> list[Subject]:
    """The networks to rank.

    Args:
        models: one or several of

            - a name of timm, torchvision or one's own, as for `ghn_init.zoo.find_model`;
            - a pattern (as in `fnmatch`) of names of timm, or of torchvision if timm has none; ``timm:pattern`` and
              ``torchvision:pattern`` choose;
            - ``split:NAME:FIRST-LAST``, networks of a split of `ghn_init.deepnets`; ``split:NAME:INDEX`` is one of
              them, ``split:NAME`` all of a split that has an end;
            - a module, or a mapping of names to modules;
            - a `ghn_init.evaluation.Subject`.
        options: keyword arguments for the constructors of networks by name.
        small_images: change the stems of networks by name that are for large images; see `NamedNetwork`.

    Raises:
        ModelNotFoundError: no network of a name, or that a pattern fits.
        RankingError: no networks at all, something else than a network, or two different ones of one name.
    """
    found: dict[str, Subject] = {}
    counts: dict[str, int] = {}
    for subject in _each(models, options or {}, small_images):
        if isinstance(subject, ModuleNetwork):
            counts[subject.name] = count = counts.get(subject.name, 0) + 1
            if count > 1:
                subject = ModuleNetwork(f"{subject.name}#{count}", subject.module, subject.place)
        if found.setdefault(subject.name, subject) != subject:
            raise RankingError(f"two networks have the name {subject.name!r}; give them others")
    if not found:
        raise RankingError("no networks to rank")
    return list(found.values())


def _each(models: Models, options: Mapping[str, Any], small_images: bool) -> Iterator[Subject]:
    several: Iterable[Any]
    if isinstance(models, Mapping):
        yield from (ModuleNetwork(name, module, place) for place, (name, module) in enumerate(models.items()))
        return
    alone = isinstance(models, (str, nn.Module)) or is_subject(models) or not isinstance(models, Iterable)
    several = [models] if alone else models  # type: ignore[assignment]
    for place, model in enumerate(several):
        if isinstance(model, str) and model.startswith("split:"):
            yield from _of_split(model)
        elif isinstance(model, str):
            yield from named_networks(names_like(model), options, small_images=small_images)
        elif isinstance(model, nn.Module):
            yield ModuleNetwork(type(model).__name__, model, place)
        elif is_subject(model):
            yield model
        else:
            raise RankingError(
                f"a network is a name, a torch.nn.Module or a ghn_init.evaluation.Subject, not {type(model).__name__}"
            )


def names_like(pattern: str) -> list[str]:
    """The names that a pattern fits, or the name that it is.

    Raises:
        ModelNotFoundError: none does.
    """
    if not _PATTERN.search(pattern):
        return [pattern]
    prefix, colon, rest = pattern.rpartition(":")
    zoos = {prefix: _LISTS[prefix]} if colon and prefix in _LISTS else {} if colon else _LISTS
    for zoo, names in zoos.items():
        if found := fnmatch.filter(names(), rest):
            return [f"{prefix}:{name}" if colon else name if zoo == "timm" else f"{zoo}:{name}" for name in found]
    raise ModelNotFoundError(
        f"no network is named like {pattern!r} in {' or '.join(zoos or _LISTS)}; quote a pattern, so that the shell "
        "leaves it alone"
    )


_LISTS = {
    "timm": timm.list_models,
    "torchvision": lambda: torchvision.models.list_models(module=torchvision.models),
}


def _of_split(text: str) -> list[SplitNetwork]:
    parts = _SPLIT.fullmatch(text)
    if parts is None:
        raise RankingError(f"{text!r} is not of the form split:NAME:FIRST-LAST, such as split:search:0-99")
    split, first, last = parts["split"], parts["first"], parts["last"]
    size = SPLIT_SIZES.get(split, 0)
    if last is None and first is None and size is None:
        raise RankingError(f"{text!r}: this split has no end; say which networks, as in {text}:0-99")
    begin = int(first or 0)
    end = int(last) + 1 if last is not None else begin + 1 if first is not None else size or 0
    if size and end > size:
        raise RankingError(f"{text!r}: the split {split} has networks 0 to {size - 1}")
    if size != 0 and end <= begin:
        raise RankingError(f"{text!r}: the last index comes before the first")
    try:
        return split_networks([split], end - begin, first=begin)
    except EvaluationError as error:
        raise RankingError(f"{text!r}: {error}") from error
