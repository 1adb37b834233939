"""Small data sets to audit: photographs of textured blobs that resemble nothing but themselves, and copies of them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

COPIES = ("rescaled", "compressed", "mirrored", "marked", "cropped", "cropped on each side")


def picture(seed: int, size: tuple[int, int] = (240, 180)) -> tuple[Image.Image, np.ndarray]:
    """A photograph and its trimap: a bright, textured blob on a dark, textured ground. `size` is width and height."""
    rng = np.random.default_rng(seed)
    width, height = size
    mask = Image.new("L", size)
    points = [
        (
            width * (0.5 + rng.uniform(0.14, 0.38) * np.cos(angle)),
            height * (0.52 + rng.uniform(0.14, 0.38) * np.sin(angle)),
        )
        for angle in np.linspace(0, 2 * np.pi, 9)[:-1]
    ]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    ground, coat = _texture(rng, size) * 0.5, 0.45 * 255 + _texture(rng, size) * 0.5
    inside = np.asarray(mask) > 0
    pixels = np.where(inside[..., None], coat, ground).clip(0, 255).astype(np.uint8)
    trimap = np.where(inside, 1, 2).astype(np.uint8)
    band = Image.new("L", size)
    ImageDraw.Draw(band).line([*points, points[0]], fill=255, width=4)
    trimap[np.asarray(band) > 0] = 3
    return Image.fromarray(pixels), trimap


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise of several scales, float (H, W, 3), 0 to 255."""
    pixels = np.zeros((size[1], size[0], 3))
    for cells, strength in ((3, 0.5), (9, 0.3), (40, 0.2)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += strength * np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float)
    return pixels


def copy_of(image: Image.Image, how: str, rng: np.random.Generator) -> Image.Image:
    """A copy as the web makes them; `how` is one of COPIES. Each is compressed, too."""
    width, height = image.size
    if how == "rescaled":
        scale = rng.choice([0.4, 0.6, 1.5])
        image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    elif how == "mirrored":
        image = ImageOps.mirror(image)
    elif how == "marked":
        layer = Image.new("RGBA", image.size)
        font = ImageFont.load_default(size=height // 8)
        place = (width * 0.1, height * rng.uniform(0.2, 0.7))
        ImageDraw.Draw(layer).text(place, "(c) example", font=font, fill=(255, 255, 255, 140))
        image = Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")
    elif how == "cropped":
        left, top = rng.uniform(0, 0.1, 2) * image.size
        image = image.crop((round(left), round(top), round(left + 0.9 * width), round(top + 0.9 * height)))
    elif how == "cropped on each side":
        image = image.crop((round(0.1 * width), round(0.1 * height), round(0.9 * width), round(0.9 * height)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(40, 95)))
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def write_official(folder: Path, pictures: dict[str, tuple[Image.Image, np.ndarray]], test: set[str]) -> Path:
    """Writes images and trimaps in the official layout, as PNG files named .jpg, so that no pixel changes."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations/trimaps").mkdir(parents=True)
    for name, (image, trimap) in pictures.items():
        image.save(folder / f"images/{name}.jpg", "PNG")
        Image.fromarray(trimap).save(folder / f"annotations/trimaps/{name}.png")
    for list_name, wanted in (("trainval", False), ("test", True)):
        lines = [f"{name} 1 1 1\n" for name in pictures if (name in test) is wanted]
        (folder / f"annotations/{list_name}.txt").write_text("".join(lines))
    return folder


def write_own(folder: Path, pictures: dict[str, tuple[Image.Image, np.ndarray]]) -> Path:
    """Writes images and 0/255 masks as a user has them."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for name, (image, trimap) in pictures.items():
        image.save(folder / f"images/{name}.png")
        Image.fromarray(np.where(trimap == 2, 0, 255).astype(np.uint8)).save(folder / f"masks/{name}.png")
    return folder


def some_pictures(number: int) -> dict[str, tuple[Image.Image, np.ndarray]]:
    """Pictures blob_0, blob_1 ..."""
    return {f"blob_{i}": picture(i) for i in range(number)}


def kinds(audited) -> dict[str, list[str]]:
    """The images of each kind of finding of an audit."""
    return {finding.kind: finding.images for finding in audited.findings}
