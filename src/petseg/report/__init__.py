"""Turns the results of the earlier stages into figures and an HTML report; computes no scores of its own."""
