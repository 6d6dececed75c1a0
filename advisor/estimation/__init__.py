"""Estimates: arrays in, arrays out. No reader, no document, nothing but NumPy and the words of floor 0."""
