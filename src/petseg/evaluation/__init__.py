"""Scores of networks on the test split, and their statistics."""
