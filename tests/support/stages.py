"""Runs one stage without DVC."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from support.paths import COMMITTED, ROOT


def run_stage(
    folder: Path, name: str, split: dict[str, object] | None = None, **data: object
) -> subprocess.CompletedProcess[str]:
    """Runs stages/NAME in `folder` with two workers and the committed parameters, except for `split` and `data`."""
    values = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))
    values["data"] |= data
    values["split"] |= split or {}
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command, env = [sys.executable, str(ROOT / "stages" / name)], os.environ | {"PETSEG_WORKERS": "2"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
