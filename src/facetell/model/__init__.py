"""The hybrid in PyTorch: straighten, extract, read in order, decide."""
