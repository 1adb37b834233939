"""Data sets as people have them, turned into one that the source `folder` accepts: `petseg import`."""
