"""The source `oxford`: Oxford-IIIT Pet from its two official archives, or from others of the same layout.

O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, Cats and Dogs, CVPR 2012.
"""

from pathlib import Path, PurePosixPath

from petseg.config.params import DataParams
from petseg.data import layout
from petseg.data.sources import archive
from petseg.runtime import download


def fetch(data: DataParams, raw: Path) -> None:
    """Fills the folder `raw` with images/*.jpg and annotations/{trimaps/*.png,trainval.txt,test.txt,list.txt}.

    Both archives are downloaded and verified before the first is unpacked. Their other files (`.mat`, `._*`, XML) are
    not unpacked.

    Args:
        data: `url` lists folders that hold images.tar.gz and annotations.tar.gz; `md5` has their digests.
        raw: an empty folder.

    Raises:
        PetsegError: as for `download.fetch` and `archive.extract`.
    """
    digests = {"images.tar.gz": data.md5.images, "annotations.tar.gz": data.md5.annotations}
    for path in [_download(name, data.url, md5) for name, md5 in digests.items()]:
        archive.extract(path, raw, _is_wanted)


def _download(name: str, folders: tuple[str, ...], md5: str) -> Path:
    path = download.fetch([f"{url.rstrip('/')}/{name}" for url in folders], md5, download.cache_path(name, md5))
    print(f"{name}: read from {path}, MD5 verified", flush=True)
    return path


def _is_wanted(path: PurePosixPath) -> bool:
    if path.name.startswith("._"):
        return False
    match path.parts[:-1], path.suffix:
        case (("images",), ".jpg") | (("annotations", "trimaps"), ".png"):
            return True
        case ("annotations",), _:
            return path.name in (*layout.LISTS, "list.txt")
    return False
