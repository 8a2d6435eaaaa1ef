"""Meta-training of a GHN."""
