"""Channels that are equal because their weights are repeated, computed once.

A GHN predicts blocks of at most so many channels and repeats them in wider layers, so that whole channels of a
network with predicted weights are copies of each other. While such a network runs inside `Merged`, each of them is
computed once: the results and gradients are those of the whole network, to rounding.
"""

from ghn_init.merging.call import merged_call
from ghn_init.merging.classes import Classes
from ghn_init.merging.mode import Merged
from ghn_init.merging.repeats import Repeats
from ghn_init.merging.tensors import whole

__all__ = ["Classes", "Merged", "Repeats", "merged_call", "whole"]
