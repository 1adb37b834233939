"""The three sources of images and the one layout that they are brought into."""

from pathlib import Path

from petseg.config.params import DataParams
from petseg.data import layout
from petseg.data.sources import folder as own
from petseg.data.sources import oxford
from petseg.data.sources.synthetic import write as draw


def fetch(data: DataParams, folder: Path, workers: int) -> tuple[list[layout.Entry], list[layout.Entry]]:
    """Fills `folder` with the official layout from `data.source`, and from no other whatever happens.

    Args:
        data: the parameters; of them only those of the chosen source are used.
        folder: an empty folder.
        workers: processes for drawing or decoding, at least 1.

    Returns:
        The entries of trainval.txt and of test.txt.

    Raises:
        PetsegError: the source cannot deliver, or what it delivered is not the official layout.
    """
    match data.source:
        case "oxford":
            oxford.fetch(data, folder)
        case "folder":
            own.fetch(Path(data.path), folder, workers)
        case "synthetic":
            draw(folder, data.images, data.seed, workers)
    return layout.check(folder)
