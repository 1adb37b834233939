"""The command `petseg predict`: checks its options, chooses the networks, and says what was done."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer

from petseg.inference import choose, outputs, split
from petseg.inference.find import find
from petseg.inference.folder import Folder, Tally
from petseg.inference.outputs import FORMATS, KINDS, Outputs
from petseg.inference.predictor import Predictor
from petseg.inference.watch import watch
from petseg.report import theme
from petseg.runtime import machine
from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_file

OUT = Path("predictions")


@dataclass(frozen=True)
class Options:
    """What photographs and splits have in common, as typed; the help of the command explains it.

    `out` is None if it was not given, and `save`, `background` and `format` are empty.
    """

    weights: Sequence[str] = ()
    out: Path | None = None
    save: str = ""
    threshold: float = 0.5
    flips: bool = False
    background: str = ""
    format: str = ""
    overwrite: bool = False

    def outputs(self, out: Path, save: str) -> Outputs:
        """What is written; `out` and `save` are the defaults. Raises PetsegError for options that do not fit."""
        kinds = [kind.strip() for kind in (self.save or save).split(",")]
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise PetsegError(f"--save has {unknown[0]!r}; it is a list of {', '.join(KINDS)}, separated by commas.")
        if (self.background or self.format) and "cutout" not in kinds:
            option = "--background" if self.background else "--format"
            raise PetsegError(f"{option} is for cut-outs; add cutout to --save, or leave {option} out.")
        format = self.format or ("jpg" if self.background else "png")
        if format not in FORMATS:
            raise PetsegError(f"--format is {format!r}; it must be one of {', '.join(FORMATS)}.")
        if format == "jpg" and not self.background:
            raise PetsegError("--format is jpg, which cannot be transparent; add --background, or choose png or webp.")
        background = outputs.parse_background(self.background) if self.background else None
        return Outputs(self.out or out, list(dict.fromkeys(kinds)), background, format)

    def check_threshold(self) -> None:
        """Raises PetsegError for a threshold that is not between 0 and 1."""
        if not 0 < self.threshold < 1:
            raise PetsegError(f"--threshold is {self.threshold:g}; it must be more than 0 and less than 1.")

    def load(self) -> Predictor:
        """Loads the networks that were named, or the best one, which is said."""
        if self.weights:
            return Predictor([choose.named(path) for path in self.weights])
        path, reason = choose.best_weights()
        print(reason, flush=True)
        return Predictor([path])


def predict(
    photos: Sequence[str],
    name_of_split: str | None,
    index: int | None,
    name: str | None,
    recursive: bool,
    watching: bool,
    options: Options,
) -> None:
    """Predicts photographs or a split, or shows one image of a split.

    Raises:
        PetsegError: options do not fit together; and as for the functions below.
    """
    machine.keep_freed_memory()
    options.check_threshold()
    if bool(photos) == bool(name_of_split):
        raise PetsegError("Name photographs, folders or patterns, or a split with --split; see petseg predict --help.")
    if name_of_split is None:
        if index is not None or name is not None:
            raise PetsegError("--index and --name choose an image of a split; add --split.")
        return predict_photos(photos, recursive, watching, options)
    if recursive or watching:
        raise PetsegError("--recursive and --watch are for folders of photographs; leave them out with --split.")
    if index is not None and name is not None:
        raise PetsegError("--index and --name both choose an image; leave one of them out.")
    if index is not None:
        return show_image(split.by_index(name_of_split, index), options)
    if name is not None:
        return show_image(split.by_name(name_of_split, name), options)
    return predict_split(name_of_split, options)


def predict_photos(arguments: Sequence[str], recursive: bool, watching: bool, options: Options) -> None:
    """Predicts files, folders and patterns; with `watching`, also what appears in them later.

    Raises:
        PetsegError: an option is wrong, no photograph was found, or some could not be predicted.
    """
    planned = options.outputs(OUT, "mask,cutout")
    jobs = find(arguments, recursive)
    if not jobs and not watching:
        look_deeper = not recursive and any(map(os.path.isdir, arguments))
        hint = ", or add --recursive to look in subfolders" if look_deeper else ""
        raise PetsegError(f"There is no photograph in {' '.join(arguments)}; name files, folders or patterns{hint}.")
    outputs.prepare(planned.folder)
    folder = Folder(options.load(), planned, options.threshold, options.flips, progress=not watching)
    if watching:
        print(f"Watching {' '.join(arguments)}; Ctrl-C ends it.", flush=True)
        watch(folder, arguments, recursive, options.overwrite)
    else:
        folder.run(jobs, options.overwrite)
    _finish(folder.tally, planned.folder)


def predict_split(name: str, options: Options) -> None:
    """Predicts all images of a split; raises PetsegError as `predict_photos`."""
    planned = options.outputs(OUT / name, "mask")
    jobs = split.jobs(name)
    outputs.prepare(planned.folder)
    folder = Folder(options.load(), planned, options.threshold, options.flips, split.open_photo)
    folder.run(jobs, options.overwrite)
    _finish(folder.tally, planned.folder)


def show_image(name: str, options: Options) -> None:
    """Draws one image of the data set with the answers of all networks, and opens the picture if there is a display.

    Raises:
        PetsegError: an option is wrong, or data are missing.
    """
    if options.save or options.background or options.format:
        raise PetsegError("--save, --background and --format are not for a picture of one image; leave them out.")
    out = options.out or OUT
    if out.suffix and out.suffix != ".png":
        raise PetsegError(f"--out is {out}; the picture is a PNG, so name a file that ends in .png, or a folder.")
    path = out if out.suffix else out / f"{name}.png"
    if options.out and path.exists() and not options.overwrite:
        raise PetsegError(f"{path} exists; name another file, or add --overwrite to replace it.")
    if options.weights:
        models = {str(weights): Predictor([weights]) for weights in options.weights}
    else:
        models = {record.label: Predictor([weights]) for weights, record in choose.all_weights().items()}
    content = theme.png(partial(split.draw, name, models, options.flips, options.threshold))
    outputs.prepare(path.parent)
    with atomic_file(path) as part:
        part.write_bytes(content)
    print(path)
    if options.out is None and (
        sys.platform != "linux" or os.environ.get("DISPLAY") or "WAYLAND_DISPLAY" in os.environ
    ):
        typer.launch(str(path))


def _finish(tally: Tally, folder: Path) -> None:
    """Says what was done; raises PetsegError with a line for each photograph that could not be predicted."""
    parts = []
    if tally.done:
        rate = tally.done / tally.seconds
        parts.append(f"{_photographs(tally.done)} predicted in {tally.seconds:.1f} s, {rate:.1f} images/s, to {folder}")
    if tally.skipped:
        parts.append(f"{_photographs(tally.skipped)} skipped, because results exist in {folder} (see --overwrite)")
    if tally.failures:
        parts.append(f"{_photographs(len(tally.failures))} could not be predicted")
    print("; ".join(parts) or "no photograph", flush=True)
    if tally.failures:
        raise PetsegError("\nerror: ".join(tally.failures))


def _photographs(count: int) -> str:
    return f"{count} photograph{'s' if count != 1 else ''}"
