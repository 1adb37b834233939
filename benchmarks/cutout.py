"""Compares ways to cut out drawn pets, whose opacity and colors are known exactly, and prints the tables of cutout.md.

Pets are rendered at twice the size, reduced, blurred by 1.5 pixels as by a lens, and put on a background. A network is
imitated: the signed distance from the outline at 64 to 256 pixels, plus a smooth error of 0.7 of these pixels, through
a logistic function of width 0.6, enlarged bilinearly.

Errors are means of absolute differences, from 0 to 1, over the pixels where the estimated opacity is neither 0 nor 1:

    alpha      of the opacity
    color      of the colors, weighted by the true opacity
    halo       of the colors where the truth is background, weighted by the estimated opacity; such a pixel
               should have the color of the nearest pixel of the pet
    composite  of the cut-out on black and on white

PyMatting is measured if it is installed.
"""

import argparse
import importlib
import importlib.util
import json
import time
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from petseg.data.sources.synthetic import camera, drawing, scene
from petseg.data.sources.synthetic.breeds import BREEDS
from petseg.inference import cutout

SIDES = (256, 512, 1000)  # pixels of the longer side at which colors are estimated
Maps = dict[str, np.ndarray]
Arrays = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pets", type=int, default=4, help="number of pets")
    parser.add_argument("--networks", type=int, nargs="*", default=[64, 128, 256], help="sizes of the maps, pixels")
    parser.add_argument("--megapixels", type=int, nargs="*", default=[12, 50], help="sizes for time and memory")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(cost(**json.loads(options.child[1]))))
        return
    from measuring import headline, measure

    print(headline())
    pets = [render(number, 750, 1000) for number in range(options.pets if options.networks else 0)]
    for network in options.networks:
        print(f"\n| network of {network} pixels | alpha | color | halo | composite |\n|---|---|---|---|---|")
        found = [errors(pet, network_map(pet["alpha"], network, number)) for number, pet in enumerate(pets)]
        for way in found[0]:
            print(f"| {way} | " + " | ".join(f"{x:.3f}" for x in np.mean([f[way] for f in found], axis=0)) + " |")
    print("\n| megapixels | what | seconds | peak memory, MiB |\n|---|---|---|---|")
    for megapixels in options.megapixels:
        for what in ("cutout", "overlay"):
            spent = measure(Path(__file__), what, {"megapixels": megapixels, "what": what})
            print(f"| {megapixels} | {what} | {spent['seconds']:.1f} | {spent['mib']:.0f} |")


def render(number: int, height: int, width: int) -> Maps:
    """Draws a pet: float32 from 0 to 1: `photo`, `foreground` (H, W, 3), `alpha` (H, W)."""
    rng = np.random.default_rng([7, number])
    breed = BREEDS[number * 5 % len(BREEDS)]
    posed = camera.pose(breed, ("sit", "stand", "lie")[number % 3], False, rng)
    frame = camera.frame(posed, False, (2 * height, 2 * width), rng)
    pet, cover = drawing.render(posed, frame, breed, (2 * height, 2 * width), rng)
    background = scene.background((height, width), frame.corner[1] * frame.scale / 2, rng)

    def lens(picture: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), (0, 0), 1.5)

    alpha = np.clip(lens(cover), 0, 1)
    foreground = np.clip(lens(pet * cover[..., None]) / np.maximum(alpha, 1e-4)[..., None], 0, 1)
    _, nearest = cast(Arrays, ndimage.distance_transform_edt(alpha < 0.2, return_indices=True))
    foreground = foreground[nearest[0], nearest[1]]
    photo = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    return {"photo": photo.astype(np.float32), "foreground": foreground, "alpha": alpha}


def network_map(alpha: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Probabilities such as a network of `size` pixels gives, enlarged to the size of `alpha`."""
    inside, (height, width) = alpha > 0.5, alpha.shape
    within, beyond = (cast(np.ndarray, ndimage.distance_transform_edt(side)) for side in (inside, ~inside))
    distance = within - beyond
    distance = cv2.resize(distance.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 3)
    shifted = distance * size / np.sqrt(height * width) + 0.7 * noise / noise.std()
    return cv2.resize((1 / (1 + np.exp(-shifted / 0.6))).astype(np.float32), (width, height))


def errors(pet: Maps, probability: np.ndarray) -> dict[str, list[float]]:
    """The four errors of each way."""
    photo = Image.fromarray((pet["photo"] * 255).round().astype(np.uint8))
    seen, soft = np.asarray(photo, np.float32) / 255, cutout.alpha(probability) / np.float32(255)
    band = (soft > 0) & (soft < 1)
    ways = {
        "plain threshold": ((probability >= 0.5).astype(np.float32), seen),
        "soft alpha, colors of the photograph": (soft, seen),
    }
    estimators = {"blur fusion": blur_fusion}
    if importlib.util.find_spec("pymatting"):
        estimators["PyMatting"] = pymatting
    for name, estimate in estimators.items():
        for side in SIDES:
            ways[f"{name} at {side} pixels"] = (soft, enlarged(estimate, seen, soft, side))
    ours = np.asarray(cutout.cutout(photo, probability), np.float32) / 255
    ways["**ours**: colors of certain pixels"] = (ours[..., 3], ours[..., :3])
    return {name: measures(pet, alpha, colors, band) for name, (alpha, colors) in ways.items()}


def measures(pet: Maps, alpha: np.ndarray, colors: np.ndarray, band: np.ndarray) -> list[float]:
    true, wrong = pet["alpha"], np.abs(colors - pet["foreground"]).mean(axis=-1)
    outside = band & (true < 0.02)
    composites = [
        alpha[..., None] * (colors - ground) - true[..., None] * (pet["foreground"] - ground) for ground in (0, 1)
    ]
    found = (
        np.abs(alpha - true)[band].mean(),
        (wrong * true)[band].sum() / true[band].sum(),
        (wrong * alpha)[outside].sum() / alpha[outside].sum(),
        np.mean([np.abs(composite)[band].mean() for composite in composites]),
    )
    return [float(error) for error in found]


def enlarged(estimate, photo: np.ndarray, alpha: np.ndarray, side: int) -> np.ndarray:
    """Estimates colors at `side` pixels, and corrects them at full size with the photograph, as blur fusion does."""
    height, width = alpha.shape
    scale = side / max(height, width)
    small = (round(width * scale), round(height * scale))
    foreground, background = estimate(
        *(cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (photo, alpha))
    )
    foreground, background = (cv2.resize(each, (width, height)) for each in (foreground, background))
    return corrected(photo, foreground, background, alpha[..., None])


def corrected(photo: np.ndarray, foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.clip(foreground + alpha * (photo - alpha * foreground - (1 - alpha) * background), 0, 1)


def blur_fusion(photo: np.ndarray, alpha: np.ndarray) -> Arrays:
    """Blur fusion (Forte 2021) with radii 90 and 6."""

    def mean(colors: np.ndarray, weight: np.ndarray, radius: int) -> np.ndarray:
        box = (2 * radius + 1, 2 * radius + 1)
        return cv2.blur(colors * weight[..., None], box) / (cv2.blur(weight, box) + 1e-5)[..., None]

    foreground = background = photo
    for radius in (90, 6):
        near, background = mean(foreground, alpha, radius), mean(background, 1 - alpha, radius)
        foreground = corrected(photo, near, background, alpha[..., None])
    return foreground, background


def pymatting(photo: np.ndarray, alpha: np.ndarray) -> Arrays:
    estimate = importlib.import_module("pymatting").estimate_foreground_ml
    foreground, background = estimate(photo.astype(float), alpha.astype(float), return_background=True)
    return foreground.astype(np.float32), background.astype(np.float32)


def cost(megapixels: int, what: str) -> dict[str, float]:
    """Seconds, and peak memory above that of the imports, photograph and probabilities included. Linux only."""
    before = peak_memory()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height * 4 // 3, height)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    probability = cv2.resize((1 / (1 + np.exp(40 * (np.hypot(x, y) - 0.7)))).astype(np.float32), size)
    start = time.perf_counter()
    if what == "cutout":
        cutout.cutout(photo, probability)
    else:
        cutout.overlay(photo, probability >= 0.5)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mib": (peak_memory() - before) / 2**20}


def peak_memory() -> int:
    """Bytes. Unlike `ru_maxrss`, this does not include the peak of the process that started this one."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
