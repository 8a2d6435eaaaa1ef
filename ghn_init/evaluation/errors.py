"""The exceptions of evaluations."""

from __future__ import annotations

from ghn_init.errors import GHNInitError


class EvaluationError(GHNInitError):
    """A GHN cannot be evaluated as asked; the message says what to change."""
