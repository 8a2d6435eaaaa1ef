"""Published GHN files, which are pickles, read without unpickling: nothing that such a file names is ever run."""

from ghn_init.checkpoints.legacy.reader import LegacyCheckpoint, read_legacy

__all__ = ["LegacyCheckpoint", "read_legacy"]
