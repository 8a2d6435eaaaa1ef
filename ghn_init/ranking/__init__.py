"""Ranking networks without training them, and searching for good ones."""

from ghn_init.ranking.api import DRAWS, HELD_OUT, IMAGES, rank, search
from ghn_init.ranking.costs import flops
from ghn_init.ranking.errors import RankingError
from ghn_init.ranking.modules import load_kept
from ghn_init.ranking.networks import GeneratedNetwork, ModuleNetwork
from ghn_init.ranking.result import Ranking
from ghn_init.ranking.rows import CONFIDENCE, Budget, Row
from ghn_init.ranking.selection import select

__all__ = [
    "CONFIDENCE",
    "DRAWS",
    "HELD_OUT",
    "IMAGES",
    "Budget",
    "GeneratedNetwork",
    "ModuleNetwork",
    "Ranking",
    "RankingError",
    "Row",
    "flops",
    "load_kept",
    "rank",
    "search",
    "select",
]
