"""The parameters of a stage, and the check that they did not change while it ran."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from petseg.config.params import Params, load
from petseg.runtime.errors import ParamsError


@contextmanager
def for_stage(*keys: str, path: str | Path = "params.yaml") -> Iterator[Params]:
    """Yields the parameters, and raises at the end if one of `keys` has changed in the file.

    DVC writes a stage's parameters to dvc.lock after its command, with the values of that moment (its issue 11058).
    Without this check a result would be recorded under parameters that did not produce it.

    Args:
        keys: the dotted keys that the stage lists under `params` in dvc.yaml.

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
    """The first of `keys` that differs between the file and `params`, as the start of a sentence; None if none does."""
    try:
        after = load(path).model_dump()
    except ParamsError as error:
        return f"{path} changed while this stage ran ({str(error).rstrip('.')})"
    before = params.model_dump()
    for key in keys:
        old, new = _pick(before, key), _pick(after, key)
        if old != new:
            return f"{path} changed while this stage ran: {_describe_change(key, old, new)}"
    return None


def _describe_change(key: str, old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(name for name in old if old[name] != new[name])
        return _describe_change(f"{key}.{name}", old[name], new[name])
    return f"{key} was {old} and is now {new}"


def _pick(values: dict, key: str) -> object:
    for part in key.split("."):
        values = values[part]
    return values
