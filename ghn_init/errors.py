"""The exceptions that ghn_init raises on purpose; `GHNInitError` catches them all."""

from __future__ import annotations


class GHNInitError(Exception):
    """Base of every error that ghn_init raises on purpose; its message says what is wrong, where, and what to do."""


class TraceError(GHNInitError):
    """A module could not be turned into a graph."""


class PredictionError(GHNInitError):
    """Parameters could not be predicted, or not be written."""


class CheckpointError(GHNInitError):
    """A checkpoint is missing, damaged, or does not fit its configuration."""


class UnsafeCheckpointError(CheckpointError):
    """A file holds something that a checkpoint has no need of, such as a reference to code; nothing in it was run."""


class TrainingError(GHNInitError):
    """A GHN could not be trained or evaluated, or a run not be continued."""


class MergingError(GHNInitError):
    """A network changes a tensor in place in a way that needs all its channels, of which equal ones are kept once."""


class DataError(GHNInitError, ValueError):
    """Images could not be found, read or used."""


class ModelNotFoundError(GHNInitError):
    """No network of that name; the message names the nearest known one."""


class StrategyError(GHNInitError, ValueError):
    """There is no such strategy, it does not take these options, or it does not fit the module."""
