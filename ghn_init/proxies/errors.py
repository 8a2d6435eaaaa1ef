"""What can go wrong with a proxy."""

from __future__ import annotations

from ghn_init.errors import GHNInitError


class ProxyError(GHNInitError, ValueError):
    """There is no such proxy, or the network or the images do not suit it."""
