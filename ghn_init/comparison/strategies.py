"""The starts of a comparison: specs of `ghn_init.strategies`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from ghn_init.strategies import available, initialise, parse, register

#: Stands for all strategies that need no argument.
ALL = "all"


def start_with(
    strategy: str, network: nn.Module, *, seed: int, example: Tensor, batches: Iterator[tuple[Tensor, Tensor]]
) -> int:
    """Initialises a network in place.

    Args:
        strategy: spec of the start.
        network: with its own random weights.
        seed: of what is random in the start.
        example: training images, (n, 3, h, w), for starts that look at data: those with an option `batch`.
        batches: training images and labels, for starts that learn from them: those with an option `batches`.

    Returns:
        How many of the batches were taken.
    """
    taken = 0

    def counted() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal taken
        for batch in batches:
            taken += 1
            yield batch

    data = {"batch": example, "batches": counted()}
    options = parse(strategy).entry.options
    given = {name: value for name, value in data.items() if name in options}
    initialise(network, strategy, seed=seed, example_inputs=example, **given)
    return taken


def canonical(specs: Iterable[str]) -> tuple[str, ...]:
    """Specs as results call them, each once; "all" becomes all strategies that need no argument.

    Raises:
        StrategyError: there is no such strategy, or it has no such option.
    """
    found: list[str] = []
    for spec in specs:
        found += _without_argument() if spec == ALL else [parse(spec).spec]
    return tuple(dict.fromkeys(found))


def _without_argument() -> list[str]:
    needy = {entry.name for entry in available() for option in _options(entry) if option.required}
    return [entry.name for entry in available() if entry.name not in needy]


def _options(entry: Any) -> list[Any]:
    return [*([entry.argument] if entry.argument else []), *entry.options.values()]


def registrations(specs: Iterable[str]) -> list[dict[str, Any]]:
    """What `register` takes for the strategies of some specs."""
    fields = ("name", "function", "description", "citation", "atomic")
    return [{name: getattr(parse(spec).entry, name) for name in fields} for spec in specs]


def register_again(wanted: Sequence[dict[str, Any]]) -> None:
    """Registers them, also in the place of the package's own of the same name."""
    for arguments in wanted:
        register(**arguments, replace=True)
