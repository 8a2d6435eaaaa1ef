"""Ranking networks without training them, and searching for good ones."""

from ghn_init.ranking.costs import flops

__all__ = ["flops"]
