"""Scores of networks without training: what the literature ranks architectures by, to compare a GHN with."""

from ghn_init.proxies.errors import ProxyError
from ghn_init.proxies.scoring import score
from ghn_init.proxies.table import PROXIES, Proxy

__all__ = ["PROXIES", "Proxy", "ProxyError", "score"]
