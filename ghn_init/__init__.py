"""Start neural networks from weights that a Graph HyperNetwork predicts, instead of random ones."""

__version__ = "0.1.0"
