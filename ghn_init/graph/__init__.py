"""From a module to the graph of node types that a GHN reads."""

from ghn_init.graph.arch import NODE_TYPES, VIRTUAL_EDGE_CUTOFF, ArchGraph, Node
from ghn_init.graph.cache import CacheInfo, cache_clear, cache_info
from ghn_init.graph.rules import NodeRule, Rule, register, unregister
from ghn_init.graph.trace import trace
from ghn_init.graph.vocabulary import FURTHER_TYPES, restricted

__all__ = [
    "FURTHER_TYPES",
    "NODE_TYPES",
    "VIRTUAL_EDGE_CUTOFF",
    "ArchGraph",
    "CacheInfo",
    "Node",
    "NodeRule",
    "Rule",
    "cache_clear",
    "cache_info",
    "register",
    "restricted",
    "trace",
    "unregister",
]
