"""Synthetic images: rendered cats and dogs of 37 breeds with exact trimaps, as a substitute for the photographs."""

from petseg.data.sources.synthetic.drawing import Drawing, draw
from petseg.data.sources.synthetic.writing import write

__all__ = ["Drawing", "draw", "write"]
