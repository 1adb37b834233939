"""Photographs per second of `petseg predict`, beside the plain way, and its memory.

    python benchmarks/predict.py images.tar.gz models/unet.safetensors

Photographs of the archive are enlarged to 12 megapixels, with noise, and saved as JPEG of quality 90. The plain way
decodes one after the other whole, resizes it, computes the network, enlarges the map with torch, and encodes the
results with the same settings. Each measurement runs in a process of its own, in turns; the table has medians, without
the start of the process. Memory is the peak of a process that predicts one JPEG of 50 megapixels, beside that of one
that predicts a small JPEG.
"""

import argparse
import json
import resource
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import petseg
from measuring import headline, measure, medians
from petseg.inference import cutout
from petseg.inference.find import find
from petseg.inference.folder import Folder
from petseg.inference.outputs import Outputs, write_array, write_image
from petseg.inference.photo import Photo
from petseg.inference.predictor import Predictor
from petseg.runtime import machine

HERE = Path(__file__)
SIZE, LARGE, SMALL = (4000, 3000), (8660, 5773), (400, 300)  # pixels, width and height
SAVE = (["mask"], ["cutout"], ["mask", "cutout", "overlay"])


def draw(archive: Path, folder: Path, count: int, size: tuple[int, int]) -> None:
    """Writes `count` photographs of the archive, enlarged to `size`, with noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with tarfile.open(archive) as tar:
        members = [each for each in tar if each.isfile() and each.name.endswith(".jpg") and "/._" not in each.name]
        for number, member in enumerate(members[:: len(members) // count][:count]):
            with Image.open(tar.extractfile(member)) as image:  # pyright: ignore[reportArgumentType]
                pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
            pixels += (6 * rng.standard_normal((size[1], size[0], 1), np.float32)).astype(np.int16)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def plain(task: dict) -> dict[str, float]:
    """One photograph after the other, and nothing that makes it fast."""
    model, out = Predictor([task["weights"]]), Path(task["out"])
    size = model.records[0].image_size
    start = time.perf_counter()
    paths = sorted(Path(task["photos"]).iterdir())
    for path in paths:
        image = Image.open(path).convert("RGB")
        small = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        [[probability]] = model.probabilities([{size: small}])
        tensor = torch.from_numpy(probability)[None, None]
        probability = F.interpolate(tensor, (image.height, image.width), mode="bilinear")[0, 0].numpy()
        for kind in task["save"]:
            if kind == "mask":
                write_array(out / f"{path.stem}.png", np.where(probability > 0.5, np.uint8(255), np.uint8(0)))
            elif kind == "cutout":
                write_image(out / f"{path.stem}_c.png", cutout.cutout(image, probability), "PNG", Photo(path))
            else:
                write_image(out / f"{path.stem}.jpg", cutout.overlay(image, probability > 0.5), "JPEG", Photo(path))
    return {"rate": len(paths) / (time.perf_counter() - start)}


def ours(task: dict) -> dict[str, float]:
    machine.keep_freed_memory()  # as the command does
    folder = Folder(petseg.load(task["weights"]), Outputs(Path(task["out"]), task["save"]))
    folder.run(find([task["photos"]]), overwrite=True)
    return {
        "rate": folder.tally.done / folder.tally.seconds,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,  # GiB
    }


MEASURES = {"plain": plain, "ours": ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", type=Path, help="images.tar.gz, of photographs")
    parser.add_argument(
        "weights", nargs="?", type=Path, help="weights file; photographs are reduced to the image size of its network"
    )
    parser.add_argument("--images", type=int, default=24, help="number of photographs")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each measurement")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](json.loads(options.child[1]))))
        return
    if options.weights is None:
        parser.error("name an archive and weights")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        draw(options.archive, photos, options.images, SIZE)
        record = petseg.load(options.weights).records[0]
        print(f"{headline()}; {record.label} of {record.image_size} pixels, {record.precision}\n")
        print("| --save | plain, images/s | petseg predict, images/s | ratio |\n|---|---|---|---|")
        task = {"photos": str(photos), "weights": str(options.weights), "out": f"{folder}/out"}
        for save in SAVE:
            both = [(HERE, what, task | {"save": save}) for what in ("plain", "ours")]
            slow, fast = (each["rate"] for each in medians(both, options.rounds))
            print(f"| {','.join(save)} | {slow:.2f} | {fast:.2f} | {fast / slow:.2f} |", flush=True)
        peaks = []
        for name, size in (("small", SMALL), ("large", LARGE)):
            draw(options.archive, Path(folder) / name, 1, size)
            peaks.append(measure(HERE, "ours", task | {"photos": f"{folder}/{name}", "save": SAVE[-1]})["memory"])
        print(f"\nMemory: {peaks[1]:.2f} GiB for 50 megapixels, {peaks[0]:.2f} GiB for a small photograph.")


if __name__ == "__main__":
    main()
