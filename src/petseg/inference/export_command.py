"""The command `petseg export`: chooses the network and the file, and says what was written."""

from pathlib import Path

from petseg.inference import choose, export
from petseg.inference.page import write_page


def export_onnx(
    weights: Path | None, out: Path | None, half: bool, channels_first: bool, dynamic: bool, overwrite: bool
) -> None:
    """Writes an ONNX model; raises PetsegError as `export.write_onnx`."""
    path = _choose(weights)
    out = out or _beside(path, ".onnx")
    model = export.write_onnx(path, out, half=half, channels_first=channels_first, dynamic=dynamic, overwrite=overwrite)
    _say(out, model)


def export_html(weights: Path | None, out: Path | None, runtime: Path | None, overwrite: bool) -> None:
    """Writes a page for the browser; raises PetsegError as `page.write_page`."""
    path = _choose(weights)
    out = out or _beside(path, ".html")
    _say(out, write_page(path, out, runtime, overwrite))


def _choose(weights: Path | None) -> Path:
    if weights is not None:
        return choose.named(weights)
    path, reason = choose.best_weights()
    print(reason, flush=True)
    return path


def _beside(weights: Path, suffix: str) -> Path:
    """The default name of an export: beside the weights, or in the working directory if they are part of petseg."""
    return Path("boxed" if weights == choose.BOXED else weights).with_suffix(suffix)


def _say(out: Path, model: export.OnnxModel) -> None:
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, opset {model.opset}")
    print(f"Largest difference in probability to PyTorch on {model.images}: {model.difference:.1e}")
    if model.rounding is not None:
        print(f"The same with weights that are not rounded to half precision: {model.rounding:.1e}")
