"""`python -m petseg`, the command `petseg` where it is not on the PATH."""

from petseg.cli import main

main()
