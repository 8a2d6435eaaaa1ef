"""Graph HyperNetworks as plain modules."""
