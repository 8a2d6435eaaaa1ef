"""Graph HyperNetworks as plain modules: they read an `ArchGraph` and predict the network's parameters."""

from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.ghn import GHN

__all__ = ["GHN", "GHNConfig"]
