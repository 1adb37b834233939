"""Fetches images from the source that the parameters name."""

from pathlib import Path

from petseg.config.params import DataParams
from petseg.data import layout
from petseg.data.sources import folder, oxford, synthetic


def fetch(data: DataParams, raw: Path, workers: int) -> tuple[list[layout.Entry], list[layout.Entry]]:
    """Fills the folder `raw` with the official layout from `data.source`, never from another source.

    Args:
        data: the section `data` of the parameters.
        raw: an empty folder.
        workers: processes for rendering or decoding, at least 1.

    Returns:
        The entries of trainval.txt and of test.txt.

    Raises:
        PetsegError: the source failed, or did not provide the official layout.
    """
    match data.source:
        case "oxford":
            oxford.fetch(data, raw)
        case "folder":
            folder.fetch(Path(data.path), raw, workers)
        case "synthetic":
            synthetic.write(raw, data.images, data.seed, workers)
    return layout.check(raw)
