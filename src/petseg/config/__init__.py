"""Parameters: params.yaml, recipes and `-S` overrides as typed, frozen values."""
