"""`petseg doctor` after a `dvc` was killed, and with experiments that ran before there was a remote."""

import signal
import sys

import pytest

from support.project import Project, finished_experiments, ran

# Runs `dvc repro` and kills it in the moment in which it has emptied its lock file to write it anew.
KILLED = """
import json, os, signal, types
import dvc.rwlock
from dvc.cli import main

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

dvc.rwlock.json = types.SimpleNamespace(**(vars(json) | {"dump": die}))
main(["repro"])
"""


def doctor(project: Project, *arguments: str, status: int = 0) -> str:
    return project.run(sys.executable, "-m", "petseg", "doctor", *arguments, status=status, PYTHONPATH="src")


@pytest.mark.parametrize("quiet", [["--quiet"], []], ids=["quiet", "full"])
def test_it_mends_the_lock_file_of_a_dvc_that_was_killed(project, quiet):
    project.run(sys.executable, "-c", KILLED, status=-signal.SIGKILL)
    assert (project.folder / ".dvc/tmp/rwlock").read_bytes() == b""
    assert "Unable to read RWLock-file" in project.dvc("repro", status=255)
    said = doctor(project, *quiet)
    assert "warning  dvc lock: .dvc/tmp/rwlock was empty, left by a dvc that was killed; it was removed" in said
    assert ran(project.dvc("repro")) == []
    assert doctor(project, "--quiet") == ""
    assert "For a bug report:" in doctor(project)


def test_an_experiment_that_ran_before_the_remote_is_named_and_can_be_pushed_after_it_ran_again(project, tmp_path):
    """`dvc exp push` takes the remote from the experiment's own commit."""
    store = tmp_path / "store"
    project.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    experiment = ("exp", "run", "-S", "evaluate.bootstrap=101", "--name")
    project.dvc(*experiment, "early", "evaluate")
    project.git("checkout", "params.yaml")
    project.dvc("remote", "add", "--default", "lab", str(store))
    project.git("commit", "--quiet", "--message", "a remote", ".dvc/config")
    assert "uploaded" not in project.dvc("exp", "push", "--force", "origin", "early")
    said = doctor(project)
    assert "warning  remote: early ran before the remote lab was added" in said
    assert ran(project.dvc(*experiment, "late", "evaluate")) == []
    assert "files uploaded" in project.dvc("exp", "push", "origin", "late")
    assert len(finished_experiments(project)) == 2
    assert "warning  remote: early ran before" in doctor(project)
    project.dvc("exp", "remove", "early")
    assert "ok       remote: lab is the default" in doctor(project)
