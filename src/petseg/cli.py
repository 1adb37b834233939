"""The command `petseg`: what is no stage of the pipeline."""

import argparse
import signal

from petseg.recipes import catalog
from petseg.runtime import errors


def main() -> None:
    """Runs the command line and ends the process: status 0, or one sentence and the error's status."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the reader of a pipe may end first, as `head` does
    errors.run(lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="petseg", description="What is no stage of the pipeline.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    recipe = commands.add_parser("recipe", help="named settings: list, show, apply or run them")
    _recipe(recipe.add_subparsers(required=True, metavar="COMMAND"))
    return parser


def _recipe(commands: argparse._SubParsersAction) -> None:
    listing = commands.add_parser("list", help="all recipes, a line each")
    listing.set_defaults(run=lambda arguments: print(catalog.table()))

    show = commands.add_parser("show", help="all parameters of a recipe, with what differs from the default marked")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=lambda arguments: print(catalog.show(arguments.name)))

    apply = commands.add_parser("apply", help="write a recipe's values to params.yaml, whose comments stay")
    apply.add_argument("name", metavar="NAME")
    apply.add_argument("--force", action="store_true", help="even if edits that are not committed are lost")
    apply.set_defaults(run=_apply)

    run = commands.add_parser("run", help="run a recipe as an experiment of DVC; several are queued")
    run.add_argument("names", metavar="NAME", nargs="+")
    run.add_argument(
        "-S",
        "--set-param",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a value that wins over the recipe's, as of `dvc exp run`; `seed=range(0,3)` queues three experiments",
    )
    run.set_defaults(run=lambda arguments: run.run(arguments.names, arguments.overrides))


def _apply(arguments: argparse.Namespace) -> None:
    changed = catalog.apply(arguments.name, force=arguments.force)
    print(f"{catalog.PARAMS} holds recipe {arguments.name} now (values changed: {changed}); `dvc repro` runs it.")
