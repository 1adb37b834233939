"""Reproducible segmentation of pets: data, networks, training, evaluation and report behind the DVC stages."""

__version__ = "0.2.0"
