"""Stages that are stopped in every way, through the real `dvc` and without it, go on and lose and spoil nothing."""

import os
import signal
import time

import psutil
import pytest

from support.project import Project, Started, wait_until

OUTPUTS = ["models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv"]
OFTEN = {"PETSEG_CHECKPOINT_SECONDS": "0"}


def outputs(project: Project) -> dict[str, bytes]:
    return {name: (project.folder / name).read_bytes() for name in OUTPUTS}


def checkpoints(project: Project) -> set[str]:
    """What trainings have left to go on from; empty folders and locks do not count."""
    return {str(path) for path in (project.folder / ".petseg/checkpoints").rglob("*.ckpt")}


def left(project: Project) -> list[str]:
    return os.listdir(project.folder / ".petseg/checkpoints")


def start_and_hold(project: Project, *command: str, **env: str) -> Started:
    """Starts a training and holds it when it has written a checkpoint, so that it cannot end meanwhile."""
    before = checkpoints(project)
    started = project.start(*command, **OFTEN, **env)
    wait_until(lambda: checkpoints(project) - before)
    started.training().send_signal(signal.SIGSTOP)
    return started


def let_go(started: Started) -> None:
    started.training().send_signal(signal.SIGCONT)


@pytest.fixture
def restored(project: Project):
    """The project, put back after the test."""
    yield project
    project.restore()


def test_a_training_under_dvc_survives_every_end(restored):
    project = restored
    project.edit("params.yaml", "\nepochs: 4", "\nepochs: 12")
    project.run("python", "stages/train.py", "unet")
    expected = outputs(project)
    project.git("checkout", "--quiet", "--", "plots", "metrics")
    project.dvc("checkout", "--quiet", "--force", "models/unet.safetensors")
    assert outputs(project) != expected
    repro = start_and_hold(project, "dvc", "repro", "train_unet")
    os.kill(repro.pid, signal.SIGKILL)
    time.sleep(0.6)  # it looks for dvc every half second
    let_go(repro)
    status, said = repro.end(seconds=10)
    assert status == -signal.SIGKILL
    assert "the dvc that started this has died, so this ends too" in said
    assert "error: stopped by SIGTERM; the same command goes on from epoch" in said
    repro = start_and_hold(project, "dvc", "repro", "train_unet")
    let_go(repro)
    os.killpg(repro.pid, signal.SIGINT)  # as a terminal does after Ctrl-C
    status, said = repro.end(seconds=10)
    assert status == 255
    assert "error: stopped by SIGINT; the same command goes on from epoch" in said
    repro = start_and_hold(project, "dvc", "repro", "train_unet")
    repro.training().kill()
    status, said = repro.end(seconds=10)
    assert status == 255
    assert "Traceback" not in said
    assert checkpoints(project)
    said = project.dvc("repro", "train_unet")
    assert "unet goes on from epoch" in said
    assert outputs(project) == expected
    assert left(project) == []


def test_an_experiment_whose_dvc_is_terminated_goes_on_by_the_same_command(restored):
    project = restored
    command = ["dvc", "exp", "run", "-S", "seed=90", "--name", "survivor", "train_unet"]
    experiment = start_and_hold(project, *command)
    os.kill(experiment.pid, signal.SIGTERM)
    time.sleep(0.6)
    let_go(experiment)
    status, said = experiment.end(seconds=10)
    assert status == -signal.SIGTERM
    assert "the same command goes on from epoch" in said
    assert "unet goes on from epoch" in project.run(*command)
    assert left(project) == []


def test_equal_trainings_at_once_take_turns_and_others_do_not_mind(restored):
    project = restored
    names = [name.replace("unet", "resnet34_unet") for name in OUTPUTS] + OUTPUTS
    expected = [(project.folder / name).read_bytes() for name in names]
    for name in names:
        (project.folder / name).unlink()
    first = start_and_hold(project, "python", "stages/train.py", "unet")
    second = project.start("python", "stages/train.py", "unet")
    other = project.start("python", "stages/train.py", "resnet34_unet", **OFTEN)
    wait_until(lambda: "another process trains exactly this; waiting for it to end" in second.said())
    let_go(first)
    for started in (first, second, other):
        status, said = started.end()
        assert status == 0, said
        assert "goes on from" not in said
    assert [(project.folder / name).read_bytes() for name in names] == expected
    assert left(project) == []


def test_parameters_that_change_and_are_put_back_cost_little(restored):
    project, expected = restored, outputs(restored)
    training = start_and_hold(project, "python", "stages/train.py", "unet")
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    let_go(training)
    status, said = training.end()
    assert status == 2
    change = "error: params.yaml changed while this stage ran: seed was 88 and is now 89; the result of this stage was"
    assert said.splitlines()[-1].startswith(change)
    assert outputs(project)["models/unet.safetensors"] == expected["models/unet.safetensors"]
    project.edit("params.yaml", "\nseed: 89", "\nseed: 88")
    said = project.run("python", "stages/train.py", "unet")
    assert "unet goes on from epoch" in said or "unet was trained to its end before" in said
    assert outputs(project) == expected
    assert left(project) == []


def test_a_full_disk_ends_a_training_with_a_sentence(restored, small_disk):
    project, before = restored, outputs(restored)
    said = project.run("python", "stages/train.py", "unet", status=1, DVC_ROOT=str(small_disk), **OFTEN)
    assert said.splitlines()[-1].startswith(f"error: The disk is full: {small_disk}/.petseg/checkpoints/unet-")
    assert "Traceback" not in said
    assert outputs(project) == before
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["lock"]


def test_a_stage_that_is_stopped_leaves_nothing_half_written(project):
    def parts() -> set[str]:
        return {path.name for path in (project.folder / "data").glob(".*")}

    fetch = project.start("python", "stages/fetch_data.py")
    wait_until(parts)
    os.kill(fetch.pid, signal.SIGKILL)
    fetch.end(seconds=10)
    of_killed = parts()
    assert of_killed
    fetch = project.start("python", "stages/fetch_data.py")
    wait_until(lambda: parts() - of_killed)
    assert not parts() & of_killed
    os.kill(fetch.pid, signal.SIGTERM)
    status, said = fetch.end(seconds=10)
    assert (status, said) == (143, "error: stopped by SIGTERM; run the same command again.\n")
    assert parts() == set()


def test_two_workers_of_a_queue_and_a_training_that_is_killed(restored):
    project = restored
    end_workers(project)
    project.dvc("exp", "run", "--queue", "-S", "seed=range(91,95)", "-S", "epochs=6", "--name", "pair", "train_unet")
    work_until(lambda: checkpoints(project), project)
    killed = next(each for each in trainings(project) if any(file.path.endswith("/lock") for file in each.open_files()))
    name, folder = killed.environ()["DVC_EXP_NAME"], killed.cwd()
    killed.kill()
    others = {f"pair-{i}" for i in range(1, 5)} - {name}
    work_until(lambda: others <= experiments(project).keys(), project)
    assert name not in experiments(project)
    assert not os.path.exists(folder)
    assert checkpoints(project)
    seed = 90 + int(name.removeprefix("pair-"))
    project.dvc("exp", "run", "--queue", "-S", f"seed={seed}", "-S", "epochs=6", "--name", "again", "train_unet")
    work_until(lambda: "again" in experiments(project), project)
    assert "unet goes on from epoch" in project.dvc("queue", "logs", "again")
    states = [line for line in project.dvc("queue", "status").splitlines() if " pair-" in line or " again" in line]
    assert [sum(line.endswith(state) for line in states) for state in ("Success", "Failed")] == [4, 1]
    end_workers(project)
    assert left(project) == []
    results = {
        each: project.git("show", f"{ref}:metrics/train_unet.json")
        for each, ref in experiments(project).items()
        if each in {*others, "again"}
    }
    assert len(set(results.values())) == 4
    project.edit("params.yaml", "\nseed: 88", f"\nseed: {seed}")
    project.edit("params.yaml", "\nepochs: 4", "\nepochs: 6")
    project.run("python", "stages/train.py", "unet")
    assert (project.folder / "metrics/train_unet.json").read_text() == results["again"]


def trainings(project: Project) -> list[psutil.Process]:
    """Those of queued experiments, which run in copies of the project."""
    return [each for each in psutil.process_iter() if words(each)[1:2] == ["stages/train.py"] and below(each, project)]


def below(process: psutil.Process, project: Project) -> bool:
    try:
        return process.cwd().startswith(str(project.folder))
    except psutil.Error:
        return False


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def experiments(project: Project) -> dict[str, str]:
    """The git reference of each experiment that is done, by name; unlike `dvc queue status`, it disturbs no worker."""
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    return {ref.rpartition("/")[2]: ref for ref in refs}


def work_until(condition, project: Project) -> None:
    """Lets two workers of DVC's queue work until `condition`.

    A worker may die of reading a message that another has not written to its end (DVC's issue 10673): the work that is
    left goes on when the queue is started again.
    """
    for _ in range(4):
        project.start("dvc", "queue", "start", "-j", "2", **OFTEN).end()  # its workers hold its output open
        try:
            return wait_until(condition, seconds=60)
        except AssertionError:
            continue
    raise AssertionError(project.dvc("queue", "status"))


def end_workers(project: Project) -> None:
    """They would wait a while for more work, with the environment that they were started in."""
    workers = [each for each in psutil.process_iter() if "queue-worker" in words(each) and below(each, project)]
    for worker in workers:
        worker.terminate()
    psutil.wait_procs(workers, timeout=30)
