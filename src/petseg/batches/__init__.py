"""Packed arrays -> batches."""
