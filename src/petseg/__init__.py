"""petseg: a reproducible DVC pipeline for binary segmentation of pets."""

__version__ = "0.2.0"
