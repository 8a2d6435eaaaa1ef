"""The exceptions of rankings."""

from __future__ import annotations

from ghn_init.errors import GHNInitError


class RankingError(GHNInitError):
    """Networks cannot be ranked, searched or read back as asked; the message says what to change."""
