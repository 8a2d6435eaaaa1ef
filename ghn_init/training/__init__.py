"""Meta-training and evaluation of a GHN."""
