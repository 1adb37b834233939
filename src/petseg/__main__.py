"""`python -m petseg`, for where the command `petseg` is not installed."""

from petseg.cli import main

main()
