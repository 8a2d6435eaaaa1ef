"""What to trust of a prediction, and why: how familiar a network is to a GHN, and what its weights depend on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghn_init.explain.call import explain
    from ghn_init.explain.explanation import Explanation
    from ghn_init.explain.fit import fit_familiarity
    from ghn_init.explain.layers import StrangeNode
    from ghn_init.explain.nearest import Neighbour
    from ghn_init.explain.nodes import Influence, NodeInfluence, influence
    from ghn_init.explain.scales import Scale, Scales, compare_scales
    from ghn_init.explain.score import Familiarity

__all__ = [
    "Explanation",
    "Familiarity",
    "Influence",
    "Neighbour",
    "NodeInfluence",
    "Scale",
    "Scales",
    "StrangeNode",
    "compare_scales",
    "explain",
    "fit_familiarity",
    "influence",
]

#: Where the names are. Every prediction needs `score`, and must not wait for the rest.
_PLACES = {
    "Explanation": "explanation",
    "Familiarity": "score",
    "Influence": "nodes",
    "Neighbour": "nearest",
    "NodeInfluence": "nodes",
    "Scale": "scales",
    "Scales": "scales",
    "StrangeNode": "layers",
    "compare_scales": "scales",
    "explain": "call",
    "fit_familiarity": "fit",
    "influence": "nodes",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found
