"""What to trust of a prediction, and why: how familiar a network is to a GHN, and what its weights depend on."""

from ghn_init.explain.explain import explain
from ghn_init.explain.explanation import Explanation
from ghn_init.explain.fit import fit_familiarity
from ghn_init.explain.influence import Influence, NodeInfluence, influence
from ghn_init.explain.layers import StrangeNode
from ghn_init.explain.nearest import Neighbour
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
