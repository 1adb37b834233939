"""The command `petseg`: parses arguments, calls the package and prints."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from petseg import __version__
from petseg.runtime import errors  # commands import the rest, so that the others start fast

# Without rich, help and usage errors are plain text that can be searched and piped.
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
recipe = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(recipe, name="recipe")
export = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(export, name="export")


def main() -> None:
    """Runs the command line and ends the process: status 0, or one sentence on stderr and the status of the error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a pipe may end first, as `head` does
    sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue], any file name
    app(prog_name="petseg")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"petseg {__version__}")
        raise typer.Exit


def _complete_recipe(incomplete: str) -> list[str]:
    from petseg.config.overrides import recipe_names

    return [name for name in recipe_names(Path()) if name.startswith(incomplete)]


_NAME = typer.Argument(metavar="NAME", help="A recipe, see `petseg recipe list`.", autocompletion=_complete_recipe)


@app.callback()
def petseg(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tools around the petseg pipeline, which trains UNet and ResNet34-UNet to segment pets.

    Run them in the top folder of the project. The pipeline itself is run by DVC: `dvc repro`.

    \b
    Examples:
      petseg recipe list             what can be trained
      petseg recipe run laptop       train and evaluate one of them
      petseg predict photo.jpg       cut the pet out of a photograph
      petseg audit                   check the data set
      petseg results                 list all experiments and their scores
      petseg compare wide-1          whether an experiment is better than HEAD
      petseg recipe run --help       more about a command
    """


@app.command()
def predict(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTO|FOLDER|PATTERN", help="Photographs, folders of them, patterns like '*.jpg'."),
    ] = None,
    weights: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="A trained network; can be repeated, to average probabilities. Default: the one in models/ with the "
            "highest valid Dice, or `boxed`, the network that comes with petseg, if models/ is empty.",
        ),
    ] = [],  # noqa: B006, Typer copies it
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results are written. Default: predictions.")
    ] = None,
    save: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Which results: some of mask, cutout, overlay, probability. Default: mask,cutout; for a split: mask.",
        ),
    ] = "",
    threshold: Annotated[float, typer.Option(help="A pixel is pet where its probability exceeds this.")] = 0.5,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average each photograph and its mirror image, at twice the cost.")
    ] = False,
    background: Annotated[
        str, typer.Option(metavar="COLOR|IMAGE", help="Background of cut-outs: white, #ff8800, an image file.")
    ] = "",
    format: Annotated[
        str, typer.Option(metavar="png|webp|jpg", help="Of cut-outs. Default: png; with --background: jpg.")
    ] = "",
    recursive: Annotated[
        bool,
        typer.Option("--recursive", "-r", help="Include the subfolders of folders; results are in subfolders, too."),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep looking for new photographs, until Ctrl-C.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also predict photographs whose results exist.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(metavar="train|valid|test", help="Predict a split of the data set instead.")
    ] = None,
    index: Annotated[int | None, typer.Option(help="Show one image of the split, by its number, from 0.")] = None,
    name: Annotated[str | None, typer.Option(help="Show one image of the split, by its name.")] = None,
) -> None:
    """Segment photographs with a trained network: masks, cut-outs, overlays.

    Of the photograph cat.jpg, the results are cat_mask.png (8 bits, 255 for pet and 0 for background), cat_cutout.png
    (transparent background, soft edge), cat_overlay.jpg (background faded) and cat_probability.png (16 bits, 65535 for
    1). They have the size of the photograph. A photograph whose results all exist is skipped, so an interrupted
    command can be repeated.

    JPEG, PNG, HEIC, AVIF, WebP, TIFF, GIF and other formats are read. In folders and patterns, hidden files and files
    named like results are left out.

    With --split and --index or --name, one image of the data set is shown as a picture: photograph, ground truth, and
    mask and errors of every network in models/.

    \b
    Examples:
      petseg predict photo.jpg
      petseg predict holidays --recursive --out masks --save mask
      petseg predict '*.heic' --save cutout --background white
      petseg predict inbox --watch
      petseg predict --split test --index 5
      petseg predict --split test --out masks
    """

    def main() -> None:
        from petseg.inference import command

        options = command.Options(weights, out, save, threshold, flips, background, format, overwrite)
        command.predict(photos or [], split, index, name, recursive, watch, options)

    errors.run(main)


_WEIGHTS = typer.Option(
    metavar="FILE",
    help="Weights of the network. Default: the one in models/ with the highest valid Dice, or `boxed`, the network "
    "that comes with petseg, if models/ is empty.",
)
_OVERWRITE = typer.Option("--overwrite", help="Replace an existing file.")


@export.callback()
def exports() -> None:
    """Export a trained network: as an ONNX model, or as one page for the browser.

    \b
    Examples:
      petseg export onnx
      petseg export html --weights models/unet.safetensors --out pets.html
    """


@export.command("onnx")
def export_onnx(
    weights: Annotated[Path | None, _WEIGHTS] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the name of the weights, with .onnx.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store weights in half precision: half the size.")] = False,
    channels_first: Annotated[
        bool, typer.Option("--channels-first", help="Take images (B, 3, H, W) instead of (B, H, W, 3).")
    ] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Take images of other sizes, too: multiples of 16 to 64, by network.")
    ] = False,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Write a network as an ONNX model.

    The model takes `image`, uint8 (B, H, W, 3), RGB, and returns `probability` of pet, calibrated, float32 (B, H, W).
    It is compared with PyTorch, and not written if a probability differs by more than 1e-4.

    \b
    Examples:
      petseg export onnx
      petseg export onnx --half --out small.onnx
    """

    def main() -> None:
        from petseg.inference import export_command

        export_command.export_onnx(weights, out, half, channels_first, dynamic, overwrite)

    errors.run(main)


@export.command("html")
def export_html(
    weights: Annotated[Path | None, _WEIGHTS] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the name of the weights, with .html.")
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER|TGZ", help="The npm package onnxruntime-web. Default: fetched once by npm."),
    ] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Write a page that segments photographs in a browser.

    It is one file with everything inside, which needs neither a server nor a network connection and uploads nothing.

    \b
    Examples:
      petseg export html
      petseg export html --weights boxed --out pets.html
      petseg export html --runtime onnxruntime-web.tgz
    """

    def main() -> None:
        from petseg.inference import export_command

        export_command.export_html(weights, out, runtime, overwrite)

    errors.run(main)


@app.command()
def audit(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            show_default=False,
            help="The data set: images/ and masks/, or images/ and annotations/ as in Oxford-IIIT Pet. By default "
            "data/raw, with the splits of data/splits.csv.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything that was found as JSON.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Where to write the page, by default report/audit.html."),
    ] = None,
) -> None:
    """Check a data set: masks, duplicates, leaks between splits, images.

    Prints what was found and writes a page with thumbnails that works offline. An error is what the pipeline would
    stop at or what makes a result meaningless, such as masks without any pet. The exit status is 1 if there are errors
    and 0 otherwise, also with warnings and notes. A second audit measures only new or changed files.

    \b
    Examples:
      petseg audit                   data/raw, as `dvc repro` made it
      petseg audit own               your own images and masks, before training
      petseg audit own --json audit.json
    """

    def main() -> None:
        from petseg.audit import command

        if not command.run(folder, json_file, page):
            raise typer.Exit(1)

    errors.run(main)


@app.command("import")
def import_data(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A folder with images and what marks the pets.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new folder for images/ and masks/.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what was understood, and write nothing.")] = False,
    pet: Annotated[
        str | None,
        typer.Option("--pet", metavar="VALUES", help="The class numbers or labels of pets, such as 8,12, or all."),
    ] = None,
    colors: Annotated[
        list[str],
        typer.Option("--pet-color", "--pet-colour", metavar="COLOR", help="A color of pets; can be repeated."),
    ] = [],  # noqa: B006, Typer copies it
    threshold: Annotated[
        int | None, typer.Option("--threshold", metavar="LEVEL", help="Gray levels from here on are pet, 1 to 255.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option("--masks", metavar="KIND", help="What marks the pets: files, annotations or alpha."),
    ] = None,
) -> None:
    """Turn a data set into images/ and masks/ that the pipeline can read.

    Finds pairs of images and masks by their names, annotations (COCO, labelme, VIA, CVAT) or cut-outs, and says what
    it understood before it writes. SOURCE is never changed. Where the masks leave a choice, their values are shown, and
    the option to use is named.

    \b
    Examples:
      petseg import photos --out own-clean --dry-run
      petseg import VOC2012 --out cats-and-dogs --pet 8,12
      petseg import scenes --out people --pet-color '#800000' --pet-color red
    """
    from petseg.importing import command

    options = command.Options(pet, tuple(colors), threshold, masks)
    errors.run(lambda: command.run(source, out, options, dry_run))


@app.command()
def results(
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Order by unet, resnet34_unet, seconds, a parameter such as lr or a score such as unet.iou; scores "
            "from the best. A minus reverses: --sort=-seconds.",
        ),
    ] = "",
    where: Annotated[
        list[str],
        typer.Option(metavar="CONDITION", help="Show only these, such as 'lr<1e-3', 'name=laptop-*'; can be repeated."),
    ] = [],  # noqa: B006, Typer copies it
    all_scores: Annotated[
        bool, typer.Option("--all", help="Show every score of each network, and each seed on its own.")
    ] = False,
    md: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print all numbers, one line per experiment.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all numbers and parameters.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one page with charts and a table to filter, which works offline."),
    ] = None,
) -> None:
    """List all experiments: what differs from HEAD, test Dice of each network, seconds of training.

    Experiments that differ only in their seed are one line: mean ± standard deviation, and their number n. `code` and
    `data` mark experiments with other code or images than HEAD. Everything is read from git; the seconds are in DVC's
    cache, and missing where that is.

    
    Examples:
      petseg results --sort unet
      petseg results --where 'lr<1e-3' --where optimizer.name=adam
      petseg results --md
      petseg results --html experiments.html
    """
    from petseg.experiments import results_command

    form = [name for name, wanted in (("md", md), ("csv", csv), ("json", json)) if wanted]
    errors.run(lambda: results_command.run(sort, where, all_scores, form, html))


@app.command()
def compare(
    first: Annotated[str | None, typer.Argument(metavar="[A]", help="A commit, branch, experiment or recipe.")] = None,
    second: Annotated[str | None, typer.Argument(metavar="[B]", help="What to compare it with; default: HEAD.")] = None,
    network: Annotated[
        list[str], typer.Option(metavar="NETWORK", help="Only this network; can be repeated. Default: all.")
    ] = [],  # noqa: B006, Typer copies it
    score: Annotated[
        str, typer.Option(metavar="dice|iou|dice_original|nsd", help="The score of each image to compare.")
    ] = "dice",
    csv: Annotated[bool, typer.Option("--csv", help="Print a table as CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page, which works offline.")] = None,
) -> None:
    """Compare two experiments on the same test images: which is better, by how much, and how sure that is.

    A pattern such as 'wide-*', or a recipe, stands for all its experiments, which may differ in the seed. Without A and
    B, the two networks of the workspace are compared. Scores are read from git, so neither data nor weights are needed.

    \b
    Examples:
      petseg compare
      petseg compare wide-1
      petseg compare 'wide-*' 'narrow-*' --score dice_original
      petseg compare laptop main --network unet --html comparison.html
    """
    from petseg.experiments import compare_command

    form = [name for name, wanted in (("csv", csv), ("json", json)) if wanted]
    errors.run(lambda: compare_command.run(first, second, network, score, form, html))


@app.command()
def verify(
    revision: Annotated[str, typer.Argument(metavar="[REV]", help="A commit, branch or experiment.")] = "HEAD",
) -> None:
    """Run a commit again from its data on, and compare the results with the committed ones.

    The run happens in a temporary clone with an empty cache, and takes as long as the first. Every file of metrics,
    curves, scores and weights is said to have equal bytes, to be within the tolerance, which is what two seeds differ
    by, or to be different; then the exit status is 1. The project itself is not touched.

    
    Examples:
      petseg verify
      petseg verify wide-1
    """

    def main() -> None:
        from petseg.experiments import verify as command

        if not command.verify(revision):
            raise typer.Exit(1)

    errors.run(main)


@recipe.callback()
def recipes() -> None:
    """List, show, apply and run recipes: named sets of hyperparameters.

    A recipe is a file recipes/NAME.yaml with values that replace those of params.yaml. The recipe `default` is
    params.yaml as committed.

    \b
    Examples:
      petseg recipe show laptop
      petseg recipe run laptop -S epochs=10
    """


@recipe.command("list")
def list_recipes() -> None:
    """List all recipes, one per line.

    Two values such as 20/60 are for UNet and for ResNet34-UNet.

    \b
    Example:
      petseg recipe list
    """
    from petseg.recipes import catalog

    errors.run(lambda: print(catalog.table()))


@recipe.command()
def show(name: Annotated[str, _NAME]) -> None:
    """Show all parameters of a recipe, compared with params.yaml as committed.

    Lines that start with + have a value of the recipe; - is the value that it replaces.

    \b
    Example:
      petseg recipe show laptop
    """
    from petseg.recipes import catalog

    errors.run(lambda: print(catalog.show(name)))


@recipe.command()
def apply(
    name: Annotated[str, _NAME],
    force: Annotated[bool, typer.Option("--force", help="Overwrite params.yaml even if your edits are lost.")] = False,
) -> None:
    """Write the values of a recipe to params.yaml.

    Comments are kept. Values that you edited and did not commit are not overwritten without --force. `dvc repro` then
    runs the pipeline with the recipe; `petseg recipe apply default` restores params.yaml.

    \b
    Example:
      petseg recipe apply laptop && dvc repro
    """

    from petseg.recipes import catalog

    def main() -> None:
        catalog.apply(name, force=force)
        print(f"params.yaml now has the values of recipe {name}; run them with `dvc repro`.")

    errors.run(main)


@recipe.command("run")
def run_recipes(
    names: Annotated[list[str], _NAME],
    overrides: Annotated[
        list[str],
        typer.Option(
            "-S",
            "--set-param",
            metavar="KEY=VALUE",
            help="Replace a value of the recipe, as `dvc exp run -S` does; can be repeated. A list or range of values "
            "gives one experiment for each.",
        ),
    ] = [],  # noqa: B006, Typer copies it
) -> None:
    """Run recipes as DVC experiments.

    One recipe runs here and now. Several recipes, or several values of a parameter, are queued and run in the
    background.

    \b
    Examples:
      petseg recipe run laptop
      petseg recipe run laptop -S epochs=10 -S unet.width=32
      petseg recipe run a b c d
      petseg recipe run laptop -S 'seed=range(0,3)'
    """
    from petseg.recipes import run

    errors.run(lambda: run.run(names, overrides))


@app.command()
def doctor(
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only problems; make the fast checks only.")] = False,
) -> None:
    """Check this machine and project, and mend what a killed dvc left behind.

    Prints one line per check (ok, warning or error, and the cure), then what a bug report needs. The exit status is 1
    if an error remains. A lock file of DVC that was damaged when dvc was killed is removed.

    \b
    Example:
      petseg doctor
    """
    from petseg.doctor import command

    errors.run(lambda: command.run(quiet))
