"""The command line as a user types it, with a `dvc` that only records its arguments."""

import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from petseg import __version__
from petseg.config.overrides import flatten, hydra, read
from petseg.recipes import run
from support.audited import some_pictures, write_own
from support.paths import COMMITTED, ROOT
from support.photos import save_network, save_photos
from support.project import Started, wait_until

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
        self.env = os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "DVC_FAILS": "nothing"}
        self.env |= {"DVC_CALLS": str(self.calls_file), "PYTHONPATH": str(ROOT / "src")}
        self.env |= {"GIT_CEILING_DIRECTORIES": str(folder.parent)}

    def run(self, *command, **env):
        return subprocess.run(command, cwd=self.folder, env=self.env | env, capture_output=True, text=True)

    def petseg(self, *arguments, status=0, **env):
        """Runs petseg; returns its stdout, or its stderr if a status other than 0 is expected."""
        done = self.run(sys.executable, "-m", "petseg", *arguments, **env)
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
    if name == "default":
        return {}
    before, recipe = (flatten(read(ROOT / file).values) for file in ("params.yaml", f"recipes/{name}.yaml"))
    return {key: value for key, value in recipe.items() if before[key] != value}


def test_version_and_help(project):
    assert project.petseg("--version") == f"petseg {__version__}\n"
    assert "dvc repro" in project.petseg("--help")
    assert "  petseg audit own" in project.petseg("audit", "--help", COLUMNS="80")
    assert "  petseg import VOC2012 --out" in project.petseg("import", "--help", COLUMNS="80")
    for command in ("list", "show", "apply", "run"):
        assert f"  petseg recipe {command}" in project.petseg("recipe", command, "--help", COLUMNS="80")
    assert "  petseg predict photo.jpg\n" in project.petseg("predict", "--help", COLUMNS="80")


def test_the_command_starts_without_torch(project):
    probe = "import sys, petseg.cli; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    assert project.run(sys.executable, "-c", probe).returncode == 0


def test_the_exit_status_of_an_audit_says_whether_there_are_errors(project):
    cache = {"PETSEG_CACHE": str(project.folder / "cache"), "PETSEG_WORKERS": "1"}
    assert "run `dvc repro fetch_data`" in project.petseg("audit", status=1, **cache)
    good = write_own(project.folder / "good", some_pictures(4))
    assert "report/audit.html" in project.petseg("audit", str(good), **cache)
    assert "Data set audit" in (project.folder / "report/audit.html").read_text()
    (good / "masks/blob_1.png").write_text("not an image")
    assert project.petseg("audit", str(good), "--json", "found.json", status=1, **cache) == ""
    assert '"unusable-mask"' in (project.folder / "found.json").read_text()


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


def test_recipes_are_listed_shown_and_applied(project):
    assert project.petseg("recipe", "list").splitlines()[2].startswith("a ")
    assert "\n+ image_size: 256" in project.petseg("recipe", "show", "a")
    assert project.petseg("recipe", "show", "default") == COMMITTED.read_text()
    assert "git has no commit of params.yaml" in project.petseg("recipe", "apply", "a", status=2)
    assert project.petseg("recipe", "apply", "a", "--force").startswith("params.yaml now has the values of recipe a")
    assert "\nimage_size: 256 " in (project.folder / "params.yaml").read_text()


def test_run_passes_the_recipe_and_the_overrides_that_win_over_it_to_dvc(project):
    overrides = ["-S", "epochs=1", "--set-param", "unet.width=8", "-S", "epochs=2", "-S", "data.path='a b, c'"]
    project.petseg("recipe", "run", "d", *overrides)
    [call] = project.calls()
    assert call[:3] == ["exp", "run", "--name"]
    assert call[3].startswith("d-")
    assert "--queue" not in call
    assert given(call) == differing("d") | {"epochs": 2, "unet.width": 8, "data.path": "a b, c"}


def test_several_recipes_are_queued_and_the_queue_is_started(project):
    said = project.petseg("recipe", "run", "a", "default", "c", "-S", "seed=1")
    *queued, start = project.calls()
    for call, name in zip(queued, ("a", "default", "c"), strict=True):
        assert call[3].startswith(f"{name}-")
        assert call[4] == "--queue"
        assert given(call) == differing(name) | {"seed": 1}
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
        (["a", "-S", "unet.widthh=8"], "-S unet.widthh=8: unet.widthh is not a parameter; "),
        (["c", "-S", "epochs=1"], "-S epochs=1: unet trains for 1 epochs, but schedule.name is plateau"),
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
    project.petseg("recipe", "run", "a", status=3, DVC_FAILS="exp run")
    assert "recipe c was not queued" in project.petseg("recipe", "run", "a", "c", status=1, DVC_FAILS="c-")
    assert [call[:2] for call in project.calls()] == [["exp", "run"]] * 3
    assert "dvc queue start" in project.petseg("recipe", "run", "a", "c", status=1, DVC_FAILS="queue start")


def test_dvc_beside_python_is_found(project):
    python, path = project.folder / "bin/python", os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])
    python.symlink_to(sys.executable)
    command = [str(python), "-c", "from petseg.recipes import run; print(run.dvc())"]
    found = project.run(*command, PATH="/nowhere", PYTHONPATH=path).stdout
    assert f"('{project.folder}/bin/dvc', " in found
    assert f"'PATH': '{project.folder}/bin{os.pathsep}/nowhere'" in found
    (project.folder / "bin/dvc").unlink()
    assert "dvc is not installed; run `make setup`" in project.run(*command, PATH="/nowhere", PYTHONPATH=path).stderr


def test_a_reader_that_ends_first_is_not_an_error(project):
    done = project.run("sh", "-c", f"{sys.executable} -u -m petseg recipe show a | head -n 1")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_ctrl_c_ends_a_command_with_the_status_of_the_signal(project):
    probe = """if True:
        import os, signal, sys
        from petseg import cli
        from petseg.recipes import catalog
        catalog.table = lambda: os.kill(os.getpid(), signal.SIGINT)
        sys.argv = ["petseg", "recipe", "list"]
        cli.main()
    """
    done = project.run(sys.executable, "-c", probe)
    assert done.returncode == 130
    assert done.stderr.startswith("error: stopped by SIGINT")


@pytest.mark.parametrize("command", ["export onnx", "export html", "predict photo.jpg", "audit", "import --out x"])
def test_a_file_that_does_not_exist_is_one_sentence(project, command):
    option = ["gone"] if command.startswith(("audit", "import")) else ["--weights", "gone.safetensors"]
    error = project.petseg(*command.split(), *option, status=1)
    assert error.startswith("error: ")
    assert "gone" in error


def test_photographs_are_predicted(project):
    save_photos(project.folder / "my pets", "猫 1.png", "b.jpg")
    save_network(project.folder / "models/unet.safetensors")
    said = project.petseg("predict", "my pets", "--save", "mask,overlay", "--out", "the masks")
    assert said.endswith(" images/s, to the masks\n")
    names = ["b_mask.png", "b_overlay.jpg", "猫 1_mask.png", "猫 1_overlay.jpg"]
    assert sorted(path.name for path in (project.folder / "the masks").iterdir()) == names


def test_a_photograph_that_cannot_be_predicted_gives_status_1(project):
    save_photos(project.folder, "a.png")
    (project.folder / "b.png").write_text("no image")
    save_network(project.folder / "models/unet.safetensors")
    error = project.petseg("predict", "b.png", "a.png", status=1)
    assert error.startswith("error: b.png cannot be decoded (unknown image format); ")
    assert error.count("\n") == 1
    assert (project.folder / "predictions/a_mask.png").exists()


def test_names_that_are_not_text_are_printed_escaped(project):
    save_network(project.folder / "models/unet.safetensors")
    save_photos(project.folder, os.fsdecode(b"out\xff/a.png"))
    (project.folder / os.fsdecode(b"out\xff/b\xff.png")).write_text("no image")
    folder = os.fsdecode(b"out\xff")
    done = project.run(sys.executable, "-m", "petseg", "predict", folder, "--out", folder)
    assert done.stdout.endswith("to out\\udcff; 1 photograph could not be predicted\n")
    assert done.stderr.startswith("error: out\\udcff/b\\udcff.png cannot be decoded")
    assert (project.folder / folder / "a_mask.png").exists()


@pytest.fixture
def start(project):
    """Starts petseg with a network and many photographs of some size; returns what runs."""
    save_photos(project.folder / "in", "a.jpg", size=(2000, 1500))
    for i in range(300):
        os.link(project.folder / "in/a.jpg", project.folder / f"in/a{i}.jpg")
    save_network(project.folder / "models/unet.safetensors")
    command = (sys.executable, "-m", "petseg", "predict", "in", "--save", "mask")
    started = []

    def start(*options):
        started.append(Started((*command, *options), project.folder, project.env, hold=False))
        return started[-1]

    yield start
    for each in started:
        if each.alive():
            each.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_a_prediction_and_leaves_complete_results(project, start, number):
    running, results = start(), project.folder / "predictions"
    wait_until(lambda: list(results.glob("*.png")), running.output)
    os.kill(running.pid, number)
    status, said = running.end()
    assert status == 128 + number
    assert said.endswith(f"error: stopped by {number.name}; run the same command again.\n")
    assert "Traceback" not in said
    assert 1 <= len(list(results.iterdir())) < 301
    for path in results.iterdir():
        with Image.open(path) as image:
            image.load()


def test_ctrl_c_ends_a_watch_with_status_0(project, start):
    running = start("--watch")
    running.wait_for("in/a.jpg: predictions/a_mask.png\n")
    os.kill(running.pid, signal.SIGINT)
    status, said = running.end()
    assert status == 0, said
    assert "photographs predicted in " in said.splitlines()[-1]


TEXTS = "null", "true", "1e-4", "", "a b", "it's", "x,y", "[a]", "{b}", "C:\\", "a\\'b", "\\\\", "ä", "s3://x/~y?a=b#c"


@pytest.mark.parametrize("value", [None, True, False, 3, 0.5, 1e-05, [], ["file:///a b", "c"], *TEXTS])
def test_any_value_can_be_written_in_hydras_grammar(value):
    [override] = OverridesParser.create().parse_overrides([f"data.path={hydra(value)}"])
    assert override.value() == value
    assert type(override.value()) is type(value)
    assert not override.is_sweep_override()


SWEEPS = ("lr=1e-3,1e-4", "seed=range(0,3)", "seed=choice(1,2)", "data.url=[a,b],[c]")
SINGLE = ("lr=1e-3", "data.url=[a,b]", "data.path='a,b'", 'data.path="a,\\"b"', "unet={width: 8, lr: 1e-4}")


@pytest.mark.parametrize("override", SWEEPS + SINGLE)
def test_sweeps_are_distinguished_from_values(override):
    assert run.is_sweep(override) == (override in SWEEPS)
    [parsed] = OverridesParser.create().parse_overrides([override.replace("lr: ", "lr:")])
    assert parsed.is_sweep_override() == (override in SWEEPS)
