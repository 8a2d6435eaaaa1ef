"""What is asked of a prediction, and which parameters it concerns."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence

#: Patterns (as in `fnmatch`) of names of parameters or of modules that hold them, or one of them.
Patterns = str | Sequence[str]
#: A share for all, or by pattern, of which the first that fits counts.
Blend = float | Mapping[str, float]

#: Standard deviation of the noise on the predictions, the scale with which GHN-3's authors fine-tune.
NOISE = 1e-5
#: Share of random numbers in the predicted weights (``benchmarks/comparison.md`` has how networks train from it).
BLEND = 0.1
#: That in the later half of the weights, where the classifier head is not predicted.
LATER = 1.0
#: Size of predicted weights, as a share of He's, below which the GHN has learnt nothing about them (the embedded one's
#: are at 0.14 to 0.2 then, and above 0.3 otherwise).
FLOOR = 0.3
#: Size of predicted weights, as a share of He's, down to which those are scaled whose scale changes nothing
#: (``benchmarks/comparison.md``).
CEILING = 0.7


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked of a prediction; `ghn_init.apply` explains the attributes.

    Raises:
        ValueError: a noise, a floor or a ceiling that is negative or not finite, a share outside of [0, 1].
    """

    noise: float = NOISE
    seed: int = 0
    head: bool | None = None
    exclude: Patterns = ()
    layers: Patterns | None = None
    blend: Blend | None = None
    floor: float = FLOOR
    ceiling: float = CEILING

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise is a standard deviation, finite and not negative, got {self.noise}")
        for name in ("floor", "ceiling"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is a share of He's deviation, finite and not negative, got {value}")
        for share in self.blend.values() if isinstance(self.blend, Mapping) else (self.blend,):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"blend is a share of random numbers, from 0 to 1, got {share}")

    def refusal(self, name: str) -> str | None:
        """Why a parameter is not to be predicted, None if it is."""
        if fits(name, self.exclude):
            return "excluded"
        if self.layers is not None and not fits(name, self.layers):
            return "not among the layers asked for"
        return None

    def unused(self, names: Iterable[str]) -> list[str]:
        """The patterns that fit none of the parameters: most likely misspelt."""
        given = [*_each(self.exclude), *_each(self.layers or ())]
        given += self.blend if isinstance(self.blend, Mapping) else ()
        known = list(names)
        return [pattern for pattern in given if not any(fits(name, pattern) for name in known)]

    def share(self, name: str) -> float:
        """The share of random numbers in a parameter, as far as it depends on its name alone."""
        if not isinstance(self.blend, Mapping):
            return BLEND if self.blend is None else self.blend
        return next((share for pattern, share in self.blend.items() if fits(name, pattern)), 0.0)


def fits(name: str, patterns: Patterns) -> bool:
    """Whether a parameter's name, or that of a module around it, is as one of the patterns says."""
    parts = name.split(".")
    paths = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in _each(patterns) for path in paths)


def _each(patterns: Patterns) -> Sequence[str]:
    return (patterns,) if isinstance(patterns, str) else patterns
