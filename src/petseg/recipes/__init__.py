"""Recipes: named overrides of params.yaml."""
