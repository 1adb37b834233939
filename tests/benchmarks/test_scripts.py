"""All benchmarks: their help, and the processes that measure."""

import importlib
import json
import sys

import pytest

import measuring
from support.paths import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "measuring")


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_describes_the_script_and_runs_nothing(name, monkeypatch, capsys):
    script = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert script.__doc__.splitlines()[0] in out
    assert out.startswith(f"usage: {name}.py")


@pytest.fixture
def checkout(tmp_path):
    """Another checkout with a petseg of its own, and a script that says what it imported and what it was asked for."""
    for folder in ("src/petseg", "benchmarks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/petseg/__init__.py").write_text("")
    script = tmp_path / "benchmarks/script.py"
    script.write_text(
        "import json, sys, petseg\n"
        "print('other output')\n"
        "print(json.dumps({'petseg': petseg.__file__, 'arguments': sys.argv[1:]}))\n"
    )
    return script


def test_a_measurement_imports_petseg_from_the_checkout_of_its_script(checkout, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    result = measuring.measure(checkout, "train", {"size": 64})
    assert result["petseg"] == str(checkout.parents[1] / "src/petseg/__init__.py")
    assert result["arguments"] == ["--child", "train", json.dumps({"size": 64})]


def test_a_failed_measurement_ends_with_its_message(checkout):
    checkout.write_text("raise RuntimeError('no data')")
    with pytest.raises(SystemExit, match=r"(?s)train in .*script.py failed:.*no data"):
        measuring.measure(checkout, "train", {})


def test_medians_of_measurements_in_turns(monkeypatch):
    rates = iter([1.0, 10.0, 3.0, 30.0, 2.0, 20.0])
    monkeypatch.setattr(measuring, "measure", lambda *measurement: {"rate": next(rates)})
    assert measuring.medians([(ROOT, "plain", {}), (ROOT, "ours", {})], rounds=3) == [{"rate": 2.0}, {"rate": 20.0}]
