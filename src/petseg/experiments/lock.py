"""What dvc.lock says: the MD5 of the inputs and outputs of each stage; and the cache, where DVC keeps those outputs."""

import configparser
import contextlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

_LINE = re.compile(r"^  (\w+):$|^    (\w+):$|^    - path: (.+)\n(?:      hash: md5\n)?      md5: (\S+)$", re.MULTILINE)


class Lock(NamedTuple):
    """MD5 by path, by stage; that of a folder ends with `.dir`."""

    deps: dict[str, dict[str, str]]
    outs: dict[str, dict[str, str]]

    @property
    def outputs(self) -> dict[str, str]:
        """MD5 of the outputs of all stages, by path."""
        return {path: md5 for stage in self.outs.values() for path, md5 in stage.items()}

    def is_current(self, stage: str) -> bool:
        """Whether a stage was run with the present outputs of the stages before it."""
        made = self.outputs
        return all(made.get(path, md5) == md5 for path, md5 in self.deps.get(stage, {}).items())

    def code(self) -> dict[str, str]:
        """MD5 of the modules that decide scores, by path: what all stages but `report` depend on."""
        deps = {path: md5 for stage, each in self.deps.items() if stage != "report" for path, md5 in each.items()}
        return {path: md5 for path, md5 in sorted(deps.items()) if path.startswith(("src/", "stages/"))}


def parse(text: str) -> Lock:
    """Reads a dvc.lock as DVC writes it: a YAML parser takes 9 ms for each, which is long for 50 experiments."""
    lock, stage, kind = Lock({}, {}), "", ""
    for found_stage, found_kind, path, md5 in _LINE.findall(text):
        stage, kind = found_stage or stage, found_kind or kind
        if path and kind in Lock._fields:
            getattr(lock, kind).setdefault(stage, {})[path.strip("'\"")] = md5
    return lock


def cached(md5: str) -> bytes | None:
    """Returns the file with this MD5 from the project's DVC cache, or None if it is not there."""
    try:
        return (_cache() / "files" / "md5" / md5[:2] / md5[2:]).read_bytes()
    except OSError:
        return None


def _cache() -> Path:
    """The folder `cache.dir` of DVC's configuration, by default .dvc/cache."""
    config = configparser.ConfigParser(strict=False, interpolation=None)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError, RuntimeError):  # not as DVC writes it, or no home
        config.read([Path.home() / ".config/dvc/config", ".dvc/config", ".dvc/config.local"], encoding="utf-8")
    return Path(".dvc", config.get("cache", "dir", fallback="cache").strip("'\""))


def run_facts(outputs: dict[str, str], path: str) -> dict[str, Any]:
    """Returns what a file such as models/unet.run.json says of the machine and the run; empty if it is not cached."""
    return _facts((cached(outputs[path]) if path in outputs else None) or b"{}")


def read_facts(path: Path) -> dict[str, Any]:
    """Returns the same of a file, empty if there is none."""
    return _facts(path.read_bytes()) if path.is_file() else {}


def _facts(content: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(content)
    except ValueError:
        facts = {}
    return facts if isinstance(facts, dict) else {}
