"""Which trained networks are used if the user names none."""

from pathlib import Path

from petseg.config.networks import NETWORKS
from petseg.models import weights
from petseg.models.weights import Record
from petseg.runtime.errors import PetsegError

FOLDER = Path("models")
BOXED = Path(__file__).parent / "boxed" / "unet.safetensors"  # comes with the package; boxed/MODEL_CARD.md describes it


def named(weights: str | Path) -> Path:
    """The weights file that a user named: a path, or `boxed` for the network that comes with petseg."""
    return BOXED if str(weights) == "boxed" else Path(weights)


def all_weights(folder: str | Path = FOLDER) -> dict[Path, Record]:
    """The weights files in a folder, and what is known about each, in the order of `NETWORKS`.

    Raises:
        PetsegError: there is none, or one cannot be read.
    """
    records = {path: weights.read(path)[1] for path in sorted(Path(folder).glob("*.safetensors"))}
    if not records:
        raise PetsegError(
            f"There is no trained network in {folder}; train one with `dvc repro`, or name a file with --weights."
        )
    return dict(sorted(records.items(), key=lambda item: list(NETWORKS).index(item[1].network)))


def best_weights(folder: str | Path = FOLDER) -> tuple[Path, str]:
    """Finds the network with the highest Dice on the validation split, as its weights file records it.

    Of equal networks, the first one is taken. If the folder has none, it is the one that comes with petseg.

    Returns:
        The weights file, and a line for the user that says which network it is and why.

    Raises:
        PetsegError: a file cannot be read.
    """
    if not any(Path(folder).glob("*.safetensors")):
        record = weights.read(BOXED)[1]
        return BOXED, (
            f"Network: the {record.label} that comes with petseg (valid Dice {record.valid_dice:.4f} on photographs of "
            f"cats and some dogs), since {folder}/ has none"
        )
    records = all_weights(folder)
    best = max(records, key=lambda path: records[path].valid_dice)
    reason = "the only one there" if len(records) == 1 else f"the highest of {len(records)}"
    return best, f"Network: {best} ({records[best].label}, valid Dice {records[best].valid_dice:.4f}, {reason})"
