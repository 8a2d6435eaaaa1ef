"""What can go wrong with the prediction of properties."""

from __future__ import annotations

from ghn_init.errors import GHNInitError


class PropertyError(GHNInitError, ValueError):
    """Networks and values do not fit together, or a predictor cannot be fitted, read or used."""
