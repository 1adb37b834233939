"""Reproducible segmentation of pets: data, networks, training, evaluation and report behind the DVC stages."""
