"""Graph HyperNetworks as plain modules: what they read is an `ArchGraph`, what they predict is a network's parameters."""

from ghn_init.hypernet.config import GHNConfig
from ghn_init.hypernet.ghn import GHN

__all__ = ["GHN", "GHNConfig"]
