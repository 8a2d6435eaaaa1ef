"""From a module to the graph of node types that a GHN reads."""
