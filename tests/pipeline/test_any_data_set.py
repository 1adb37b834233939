"""Data sets of others, from their folder through all stages to a report, in one process and without DVC."""

import json
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from petseg.audit import command as audit
from petseg.audit.findings import NOTE
from petseg.config.networks import NETWORKS
from petseg.importing import command
from petseg.importing.plan import Options
from petseg.recipes.yaml_edit import edited
from support import datasets
from support.paths import COMMITTED, ROOT

STAGES = ("fetch_data", "split", *(f"train {name}" for name in NETWORKS), "evaluate", "report")
TINY = {"batch_size": 2, "epochs": 1, "evaluate.bootstrap": 100, **{f"{name}.width": 4 for name in NETWORKS}}


def run_stage(name: str) -> None:
    """Runs a stage as `python stages/NAME.py` does, but for the handling of signals."""
    script, *arguments = name.split()
    sys.argv = [script, *arguments]
    runpy.run_path(str(ROOT / "stages" / f"{script}.py"))["main"]()


def typed(options: list[str]) -> Options:
    """The options of `petseg import` that a user typed."""
    pairs = list(zip(options[::2], options[1::2], strict=True))
    colors = tuple(value for key, value in pairs if key.startswith("--pet-col"))
    values = {key: value for key, value in pairs if not key.startswith("--pet-col")}
    threshold = values.get("--threshold")
    return Options(values.get("--pet"), colors, threshold and int(threshold), values.get("--masks"))


@pytest.mark.parametrize("make", datasets.MAKERS, ids=lambda make: make.__name__)
def test_a_data_set_reaches_a_report(
    make: Callable[[Path], datasets.Made],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "_here", ModuleType("_here"))  # it would take over the signals of this process
    monkeypatch.setattr(sys, "argv", [])
    for name, value in {"PETSEG_DEVICE": "cpu", "PETSEG_WORKERS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    made = make(Path("theirs"))
    command.run(made.folder, Path("own-clean"), typed(made.options))
    said = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert said[:3] == ["dvc", "exp", "run"]
    settings = dict(setting.split("=") for setting in said[4::2])
    Path("params.yaml").write_text(edited(COMMITTED.read_text(), TINY | settings))
    for name in STAGES:
        locks = tmp_path / f"locks of {name}"  # a lock lasts as long as its process
        locks.mkdir()
        monkeypatch.setenv("PETSEG_LOCKS", str(locks))
        run_stage(name)
    assert set(json.loads(Path("metrics/test.json").read_text())) == set(NETWORKS)
    assert "Traceback" not in capsys.readouterr().err
    page = Path("report/index.html").read_text()
    assert all(network.label in page for network in NETWORKS.values())
    serious = [finding.kind for finding in audit.audit(None, workers=1).findings if finding.severity != NOTE]
    assert ("The data set may have mistakes: " in page) == bool(serious)
    assert all(f"{kind} (" in page for kind in serious)
