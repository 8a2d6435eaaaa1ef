"""Random architectures in the style of DeepNets-1M."""
