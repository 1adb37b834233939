"""Drawn pets: cats and dogs of 37 breeds with exact trimaps, for machines without the photographs."""

from petseg.data.drawn.drawing import Drawing, draw
from petseg.data.drawn.writing import write

__all__ = ["Drawing", "draw", "write"]
