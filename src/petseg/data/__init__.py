"""Data up to the packed arrays: sources, the official layout, splits, packing."""
