"""Random architectures of DeepNets-1M, the classic families, and timm's own: as data, as modules and as graphs."""

from __future__ import annotations

from ghn_init.deepnets.classic import Classic, ClassicNetwork
from ghn_init.deepnets.kinds import AnyArchitecture, from_dict
from ghn_init.deepnets.network import Network
from ghn_init.deepnets.rules import SPLIT_SIZES, Split
from ghn_init.deepnets.sampling import SPLITS, sample
from ghn_init.deepnets.sizes import count_parameters
from ghn_init.deepnets.spec import PRIMITIVES, Architecture, CellGenotype
from ghn_init.deepnets.streams import stream
from ghn_init.deepnets.timm_models import TimmArchitecture
from ghn_init.deepnets.timm_sampling import timm_architecture

__all__ = [
    "PRIMITIVES",
    "SPLITS",
    "SPLIT_SIZES",
    "AnyArchitecture",
    "Architecture",
    "CellGenotype",
    "Classic",
    "ClassicNetwork",
    "Network",
    "Split",
    "TimmArchitecture",
    "count_parameters",
    "from_dict",
    "sample",
    "stream",
    "timm_architecture",
]
