"""How many random numbers go into each predicted weight."""

from __future__ import annotations

from collections.abc import Sequence

from ghn_init.hypernet.plan import DecodePlan
from ghn_init.options import LATER, Options

_HEADS = ("class_vector", "class_block")


def shares(options: Options, plan: DecodePlan, names: Sequence[str]) -> dict[str, float]:
    """The share of random numbers in each of these parameters that can have any.

    Where nothing is said of it and the classifier head is left alone, the network is to learn other classes than the
    GHN did, for which its later layers are of no use (Yosinski et al., 2014, How transferable are features in deep
    neural networks?, section 4): the later half of the network's weights is then random, at their predicted sizes.

    Args:
        options: what is asked of the prediction.
        plan: what can be predicted, in the order of the graph's nodes.
        names: what is predicted.
    """
    found = {name: options.share(name) for name in names if plan.blends(name)}
    if options.blend is not None or options.head or any(plan.targets[name].kind in _HEADS for name in names):
        return found
    weights = [name for name, target in plan.targets.items() if target.he]
    return found | dict.fromkeys([name for name in weights[(len(weights) + 1) // 2 :] if name in found], LATER)
