"""The parameters of a stage, and the check that they did not change while it ran."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from petseg.config.overrides import flatten
from petseg.config.params import Params, load
from petseg.runtime.errors import ParamsError


@contextmanager
def for_stage(*keys: str, path: str | Path = "params.yaml") -> Iterator[Params]:
    """Yields the parameters, and raises at the end if one of `keys` has changed in the file.

    DVC writes a stage's parameters to dvc.lock after its command, with the values of that moment (its issue 11058).
    Without this check a result would be recorded under parameters that did not produce it.

    Args:
        keys: the top-level keys that the stage lists under `params` in dvc.yaml.

    Raises:
        ParamsError: the file changed while the stage ran, or cannot be read.
    """
    params = load(path)
    yield params
    check_unchanged(params, keys, path)


def check_unchanged(params: Params, keys: Sequence[str], path: str | Path = "params.yaml") -> None:
    """Raises the ParamsError of `for_stage` if one of `keys` no longer has its value from `params` in the file."""
    if change := find_change(params, keys, path):
        raise ParamsError(
            f"{change}; the result of this stage was not recorded. Run `dvc repro` for the new value, or restore the "
            "old one first."
        )


def find_change(params: Params, keys: Sequence[str], path: str | Path = "params.yaml") -> str | None:
    """The first value below `keys` that differs between file and `params`, as the start of a sentence; or None."""
    try:
        after = flatten(load(path).model_dump(include=set(keys)))
    except ParamsError as error:
        return f"{path} changed while this stage ran ({str(error).rstrip('.')})"
    for key, old in flatten(params.model_dump(include=set(keys))).items():
        if after[key] != old:
            return f"{path} changed while this stage ran: {key} was {old} and is now {after[key]}"
    return None
