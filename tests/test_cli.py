"""The command line as a user types it, with a `dvc` that only records its arguments."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from petseg import __version__
from petseg.config.overrides import flatten, read
from petseg.recipes import run
from petseg.runtime.errors import ParamsError
from support.paths import COMMITTED, ROOT

DVC = """#!/bin/sh
printf '%s\\037' "$@" >> "$DVC_CALLS"
printf '\\036' >> "$DVC_CALLS"
case "$*" in *$DVC_FAILS*) exit 3;; esac
"""


class Project:
    """A params.yaml with the recipes, and a `dvc` on the PATH."""

    def __init__(self, folder):
        self.folder, self.calls_file = folder, folder / "calls"
        shutil.copy(COMMITTED, folder)
        shutil.copytree(ROOT / "recipes", folder / "recipes")
        (folder / "bin").mkdir()
        (folder / "bin/dvc").write_text(DVC)
        (folder / "bin/dvc").chmod(0o755)
        self.path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def petseg(self, *arguments, status=0, fails="no such call", **env):
        """Runs petseg; returns its stdout, or its stderr if a status other than 0 is expected."""
        env = {"PATH": self.path, "DVC_CALLS": str(self.calls_file), "DVC_FAILS": fails} | env
        env |= {"PYTHONPATH": str(ROOT / "src"), "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        command = [sys.executable, "-m", "petseg", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=os.environ | env, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if status else done.stdout

    def calls(self):
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        return [call.split("\037")[:-1] for call in text.split("\036")[:-1]]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def given(call):
    """The -S values in a call of dvc, as Hydra reads them."""
    texts = [value for option, value in pairwise(call) if option == "-S"]
    overrides = OverridesParser.create().parse_overrides(texts)
    assert len({each.key_or_group for each in overrides}) == len(overrides)
    return {each.key_or_group: each.value() for each in overrides}


def differing(name):
    """The values of a recipe that differ from params.yaml, by dotted key."""
    before, recipe = (flatten(read(ROOT / file).values) for file in ("params.yaml", f"recipes/{name}.yaml"))
    return {key: value for key, value in recipe.items() if before[key] != value}


def test_version_and_help(project):
    assert project.petseg("--version") == f"petseg {__version__}\n"
    assert "dvc repro" in project.petseg("--help")
    for command in ("list", "show", "apply", "run"):
        assert f"  petseg recipe {command}" in project.petseg("recipe", command, "--help", COLUMNS="80")


def test_the_command_starts_without_torch(project):
    probe = "import sys, petseg.cli; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0


def test_recipe_names_are_completed(project):
    words = {"_PETSEG_COMPLETE": "complete_bash", "COMP_WORDS": "petseg recipe show la", "COMP_CWORD": "3"}
    assert project.petseg(**words).split() == ["laptop"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["recipe", "applyy"], "No such command 'applyy'"),
        (["recipe", "show"], "Missing argument 'NAME'"),
        (["recipe", "list", "--nosuch"], "--nosuch"),
    ],
)
def test_a_usage_error_is_plain_text(project, arguments, words):
    error = project.petseg(*arguments, status=2)
    assert words in error.splitlines()[-1]
    assert error.isascii()  # no boxes


def test_list_and_show_print(project):
    assert project.petseg("recipe", "list").splitlines()[2].startswith("a ")
    assert "\n> image_size: 256" in project.petseg("recipe", "show", "a")
    assert project.petseg("recipe", "show", "default") == COMMITTED.read_text()


def test_apply_writes_params_yaml(project):
    assert "git has no commit of params.yaml" in project.petseg("recipe", "apply", "a", status=2)
    assert project.petseg("recipe", "apply", "a", "--force").startswith("params.yaml now has the values of recipe a")
    assert "\nimage_size: 256 " in (project.folder / "params.yaml").read_text()


@pytest.mark.parametrize("name", ["a", "c", "d"])
def test_run_passes_the_values_that_differ_to_dvc(project, name):
    project.petseg("recipe", "run", name)
    [call] = project.calls()
    assert call[:3] == ["exp", "run", "--name"]
    assert call[3].startswith(f"{name}-")
    assert "--queue" not in call
    assert given(call) == differing(name)


def test_overrides_win_over_the_recipe_and_are_passed_once(project):
    overrides = ["-S", "epochs=1", "--set-param", "unet.width=8", "-S", "epochs=2", "-S", "data.path='a b, c'"]
    project.petseg("recipe", "run", "d", *overrides)
    [call] = project.calls()
    assert given(call) == differing("d") | {"epochs": 2, "unet.width": 8, "data.path": "a b, c"}


def test_the_default_runs_without_overrides(project):
    project.petseg("recipe", "run", "default")
    assert [call[:3] + call[4:] for call in project.calls()] == [["exp", "run", "--name"]]


def test_several_recipes_are_queued_and_the_queue_is_started(project):
    said = project.petseg("recipe", "run", "a", "default", "c", "-S", "seed=1")
    *queued, start = project.calls()
    assert [call[3].partition("-")[0] for call in queued] == ["a", "default", "c"]
    assert all(call[4] == "--queue" for call in queued)
    assert [given(call) for call in queued] == [
        differing("a") | {"seed": 1},
        {"seed": 1},
        differing("c") | {"seed": 1},
    ]
    assert start == ["queue", "start"]
    assert "dvc queue status" in said


def test_a_sweep_is_passed_on_as_written(project):
    project.petseg("recipe", "run", "a", "-S", "seed=range(0,3)", "-S", "lr=1e-3,1e-4", "-S", "unet.width=8")
    call, start = project.calls()
    assert call[4] == "--queue"
    assert call[-4:] == ["-S", "seed=range(0,3)", "-S", "lr=1e-3,1e-4"]
    assert not any(argument.startswith("lr=0") for argument in call)
    assert "unet.width=8" in call
    assert start == ["queue", "start"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "oxfrod"], "recipes/oxfrod.yaml does not exist; the nearest recipe is oxford."),
        (["a", "d", "-S", "loss.bce=1"], "params.yaml with recipes/d.yaml -S loss.bce=1: unet.classes is 2, but"),
        (["a", "-S", "unet.widthh=8"], "unet.widthh is not a parameter; the nearest one is unet.width."),
        (["c", "-S", "epochs=1"], "-S epochs=1: unet trains for 1 epochs, but schedule.name is plateau"),
        (["a", "-S", "train.ema=1"], "-S train.ema=1: train.ema is 1: "),
        (["a", "-S", "seed"], "'seed' is not an override"),
    ],
)
def test_an_error_is_one_sentence_and_nothing_is_run(project, arguments, words):
    error = project.petseg("recipe", "run", *arguments, status=2)
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert project.calls() == []


def test_the_exit_status_of_dvc_is_passed_on(project):
    project.petseg("recipe", "run", "a", status=3, fails="exp run")
    assert "recipe c was not queued" in project.petseg("recipe", "run", "a", "c", status=1, fails="c-")
    assert [call[:2] for call in project.calls()] == [["exp", "run"]] * 3
    assert "dvc queue start" in project.petseg("recipe", "run", "a", "c", status=1, fails="queue start")


def test_dvc_beside_python_is_found(project, tmp_path):
    beside = tmp_path / "venv"
    beside.mkdir()
    (beside / "python").symlink_to(sys.executable)
    probe = "from petseg.recipes import run; print(run.dvc())"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)]), "PATH": "/nowhere"}
    command = [str(beside / "python"), "-c", probe]
    missing = subprocess.run(command, env=env, capture_output=True, text=True)
    assert "dvc is not installed; run `make setup`" in missing.stderr
    shutil.copy(project.folder / "bin/dvc", beside)
    found = subprocess.run(command, env=env, capture_output=True, text=True)
    assert str(beside / "dvc") in found.stdout
    assert f"'PATH': '{beside}{os.pathsep}/nowhere'" in found.stdout


def test_a_reader_that_ends_first_is_not_an_error(project):
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    script = f"{sys.executable} -u -m petseg recipe show a | head -n 1"
    done = subprocess.run(script, shell=True, cwd=project.folder, env=env, capture_output=True, text=True)
    assert done.stderr == ""


def test_ctrl_c_ends_a_command_with_the_status_of_the_signal(project):
    probe = """if True:
        import os, signal, sys
        from petseg import cli
        cli.catalog.table = lambda: os.kill(os.getpid(), signal.SIGINT)
        sys.argv = ["petseg", "recipe", "list"]
        cli.main()
    """
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", probe], env=env, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("error: stopped by SIGINT")


PLAIN = [None, True, False, 3, 0.5, 1e-05, [], ["file:///a b", "c"]]
TEXTS = [
    "none",
    "null",
    "true",
    "1e-4",
    "",
    "a b",
    "it's",
    "x,y",
    "[a]",
    "{b}",
    "C:\\",
    "a\\'b",
    "\\\\",
    "ä",
    "http://x/~y?a=b#c",
]


@pytest.mark.parametrize("value", [*PLAIN, *TEXTS])
def test_any_value_can_be_written_in_hydras_grammar(value):
    [override] = OverridesParser.create().parse_overrides([f"data.path={run.hydra(value)}"])
    assert override.value() == value
    assert type(override.value()) is type(value)
    assert not override.is_sweep_override()


@pytest.mark.parametrize(
    ("override", "sweep"),
    [
        ("lr=1e-3,1e-4", True),
        ("seed=range(0,3)", True),
        ("seed=choice(1,2)", True),
        ("data.url=[a,b],[c]", True),
        ("lr=1e-3", False),
        ("data.url=[a,b]", False),
        ("data.path='a,b'", False),
        ('data.path="a,\\"b"', False),
        ("unet={width: 8, lr: 1e-4}", False),
    ],
)
def test_sweeps_are_distinguished_from_values(override, sweep):
    assert run.is_sweep(override) == sweep
    [parsed] = OverridesParser.create().parse_overrides([override.replace("lr: ", "lr:")])
    assert parsed.is_sweep_override() == sweep


def test_settings_of_an_invalid_recipe_raise(project):
    (project.folder / "recipes/wrong.yaml").write_text("lrr: 1\n")
    with pytest.raises(ParamsError, match=r"recipes/wrong\.yaml: lrr is not a parameter"):
        run.settings("wrong", path=project.folder / "params.yaml")
