"""Random architectures in the style of DeepNets-1M, and the classic families, as data and as modules."""

from __future__ import annotations

from ghn_init.deepnets.classic import Classic, ClassicNetwork
from ghn_init.deepnets.network import Network
from ghn_init.deepnets.sampling import SPLITS, Split, sample, stream
from ghn_init.deepnets.sizes import count_parameters
from ghn_init.deepnets.spec import PRIMITIVES, Architecture, CellGenotype

__all__ = [
    "PRIMITIVES",
    "SPLITS",
    "Architecture",
    "CellGenotype",
    "Classic",
    "ClassicNetwork",
    "Network",
    "Split",
    "count_parameters",
    "sample",
    "stream",
]
