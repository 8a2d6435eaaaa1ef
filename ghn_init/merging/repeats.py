"""What repeats in the weights that a GHN predicts for a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from ghn_init.graph.arch import ArchGraph
from ghn_init.hypernet import GHNConfig
from ghn_init.hypernet.targets import Target


@dataclasses.dataclass(frozen=True)
class Repeats:
    """What repeats in a network's predicted weights.

    Attributes:
        periods: after how many numbers, by the parameter's name (`Target.periods`).
        kept: the share of the convolutions' numbers that is left where each repeated one is kept once; 1 where equal
            channels cannot be merged.
    """

    periods: dict[str, tuple[int, int]]
    kept: float

    @classmethod
    def of(cls, graph: ArchGraph, wanted: Iterable[Target], config: GHNConfig) -> Repeats:
        """Those of all that a GHN with `config` predicts for `graph`.

        Args:
            graph: the network's.
            wanted: its targets.
            config: of the GHN.
        """
        known = [(target, target.periods(config.max_shape)) for target in wanted]
        kernels = [(target, periods) for target, periods in known if len(target.param_shape) == 4 and periods]
        # what layer norm follows has its channels last, where nothing is merged
        channels_last = sum(node.type == "ln" for node in graph.nodes)
        if len(kernels) <= channels_last:
            return cls({}, 1.0)
        numbers = sum(target.numel for target, _ in kernels)
        kept = sum(math.prod(periods) * math.prod(target.shape[2:]) for target, periods in kernels)
        return cls({target.name: periods for target, periods in known if periods}, kept / numbers)
