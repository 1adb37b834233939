"""The source `oxford`: Oxford-IIIT Pet from its two official archives, or from others of the same layout.

O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, Cats and Dogs, CVPR 2012.
"""

from pathlib import Path, PurePosixPath

from petseg.config.params import DataParams
from petseg.data.sources import archive
from petseg.runtime import download

LISTS = ("trainval.txt", "test.txt", "list.txt")


def fetch(data: DataParams, folder: Path) -> None:
    """Fills `folder` with images/*.jpg and annotations/{trimaps/*.png,trainval.txt,test.txt,list.txt}.

    Both archives are verified before the first is unpacked. What else they hold (`.mat`, `._*`, XML) is left out.

    Args:
        data: `url` names folders that hold images.tar.gz and annotations.tar.gz, `md5` what the two must be.
        folder: an empty folder.

    Raises:
        PetsegError: as for `download.fetch` and `archive.extract`.
    """
    archives = [
        _archive("images.tar.gz", data.url, data.md5.images),
        _archive("annotations.tar.gz", data.url, data.md5.annotations),
    ]
    for path in archives:
        archive.extract(path, folder, keep=_belongs)


def _archive(name: str, folders: tuple[str, ...], md5: str) -> Path:
    path = download.fetch([f"{url.rstrip('/')}/{name}" for url in folders], md5, download.cache_path(name, md5))
    print(f"{name}: MD5 is right, read from {path}", flush=True)
    return path


def _belongs(member: PurePosixPath) -> bool:
    if member.name.startswith("._"):
        return False
    match member.parts[:-1], member.suffix:
        case ("images",), ".jpg":
            return True
        case ("annotations", "trimaps"), ".png":
            return True
        case ("annotations",), _:
            return member.name in LISTS
    return False
