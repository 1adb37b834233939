"""The command `petseg`: parses arguments, calls the package and prints."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from petseg import __version__
from petseg.config.overrides import recipe_names
from petseg.recipes import catalog, run
from petseg.runtime import errors

# Without rich, help and usage errors are plain text that can be searched and piped.
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
recipe = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(recipe, name="recipe")


def main() -> None:
    """Runs the command line and ends the process: status 0, or one sentence on stderr and the status of the error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a pipe may end first, as `head` does
    app(prog_name="petseg")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"petseg {__version__}")
        raise typer.Exit


def _complete_recipe(incomplete: str) -> list[str]:
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
      petseg recipe run --help       more about a command
    """


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
    errors.run(lambda: print(catalog.table()))


@recipe.command()
def show(name: Annotated[str, _NAME]) -> None:
    """Show all parameters of a recipe, compared with params.yaml as committed.

    Lines that start with + have a value of the recipe; - is the value that it replaces.

    \b
    Example:
      petseg recipe show laptop
    """
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
    errors.run(lambda: run.run(names, overrides))
