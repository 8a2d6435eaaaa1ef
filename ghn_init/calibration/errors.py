"""What calibration raises."""

from __future__ import annotations

from ghn_init.errors import GHNInitError


class CalibrationError(GHNInitError):
    """A module cannot be measured or calibrated; it is as it was."""
