"""The comparison of recipes: what it asks DVC to run, and what it makes of what came out; DVC itself is not called."""

import json
import sys
from pathlib import Path

import pytest

import systems

ROOT = Path(__file__).resolve().parents[2]
BOTH = ("unet", "resnet34_unet")


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(systems, "head", lambda: "0123456789abcdef")
    monkeypatch.setattr(systems.time, "sleep", lambda seconds: None)


def system(spec="c", *common):
    return systems.System(spec, ("image_size=64", *common))


def test_a_recipe_with_changes_is_the_recipe_but_for_these():
    changed = system("c:train.augment=none;unet.lr=1e-5", "seed=3").params
    assert (changed.train.augment, changed.unet.lr, changed.image_size, changed.seed) == ("none", 1e-5, 64, 3)
    assert changed.optimizer == system().params.optimizer


def test_the_same_training_has_the_same_name_and_any_other_another():
    lengths = {"unet": 5, "resnet34_unet": 7}
    names = [
        system().experiment(lengths, 0).name,
        system().experiment(lengths, 1).name,
        system().experiment(lengths | {"unet": 6}, 0).name,
        system("c:loss.dice=0").experiment(lengths, 0).name,
        system("c", "image_size=128").experiment(lengths, 0).name,
    ]
    assert len(set(names)) == len(names)
    assert system().experiment(lengths, 0).name == names[0]
    assert names[0].startswith("c-0123456-")


def test_lengths_and_seed_reach_the_training():
    settings = system().experiment({"unet": 5, "resnet34_unet": 7}, 2).settings
    assert {"unet.epochs=5", "resnet34_unet.epochs=7", "seed=2"} <= set(settings)


@pytest.fixture
def stopwatch(monkeypatch):
    """Trainings that take 4 seconds at first and then, UNet and ResNet34-UNet, 1.5 and 0.5 an epoch."""

    def seconds(systems, lengths, jobs):
        return [{"unet": 4 + 1.5 * each["unet"], "resnet34_unet": 4 + 0.5 * each["resnet34_unet"]} for each in lengths]

    monkeypatch.setattr(systems, "_seconds", seconds)


def test_as_many_epochs_as_fit_into_the_seconds(stopwatch):
    assert systems.epochs_that_fit([system()], 154, capped=False, jobs=1) == [{"unet": 100, "resnet34_unet": 300}]


def test_no_more_epochs_than_the_recipes(stopwatch):
    most = system().params.training("unet").epochs
    assert most < 100
    assert systems.epochs_that_fit([system()], 154, capped=True, jobs=1) == [dict.fromkeys(BOTH, most)]


def test_at_least_two_epochs(stopwatch):
    assert systems.epochs_that_fit([system()], 1, capped=False, jobs=1) == [dict.fromkeys(BOTH, 2)]


class Queue:
    """In the place of git and DVC: experiments by name, each Queued, Running, Success or Failed."""

    def __init__(self, workers=0, **states):
        self.states, self.workers, self.calls = states, workers, []

    def __call__(self, *command):
        self.calls.append(command)
        match command:
            case "git", "for-each-ref", _, ref:
                return "revision" if self.states.get(ref.rpartition("/")[2]) == "Success" else ""
            case "dvc", "queue", "status":
                rows = [f"1234567  {name}  04:31 AM  {state}" for name, state in self.states.items()]
                return "\n".join(["Task Name Created Status", *rows, f"\nWorker status: {self.workers} active, 0 idle"])
            case "dvc", "queue", "kill", "--force", name:
                self.states[name] = "Failed"
            case "dvc", "queue", "remove", name:
                del self.states[name]
            case "dvc", "queue", "logs", name:
                return f"what {name} printed"
            case "dvc", "exp", "run", "--queue", "--name", name, *_:
                self.states[name] = "Queued"
            case "dvc", "queue", "start", *_:
                self.states |= {n: "Success" for n, state in self.states.items() if state == "Queued"}
        return ""

    def queued(self):
        return [call[5] for call in self.calls if call[:4] == ("dvc", "exp", "run", "--queue")]


@pytest.fixture
def queue(monkeypatch):
    def install(**states):
        queue = Queue(**states)
        monkeypatch.setattr(systems, "run", queue)
        monkeypatch.setattr(systems.os, "environ", {})
        return queue

    return install


def two():
    return [system().experiment(dict.fromkeys(BOTH, 5), seed) for seed in (0, 1)]


def test_a_second_call_repeats_nothing(queue):
    queue = queue()
    systems.run_all(two(), jobs=1)
    assert queue.queued() == [each.name for each in two()]
    queue.calls.clear()
    systems.run_all(two(), jobs=1)
    assert queue.queued() == []


def test_what_is_queued_already_is_not_queued_again_and_other_work_is_left_alone(queue):
    queue = queue(**{two()[0].name: "Queued", "other": "Failed"})
    systems.run_all(two(), jobs=1)
    assert queue.queued() == [two()[1].name]
    assert queue.states["other"] == "Failed"


def test_what_failed_in_an_earlier_call_is_tried_again(queue):
    queue = queue(**{two()[0].name: "Failed"})
    systems.run_all(two(), jobs=1)
    assert queue.queued() == [each.name for each in two()]


def test_what_runs_although_no_worker_does_is_queued_again(queue):
    queue = queue(**{two()[0].name: "Running", "other": "Running"})
    systems.run_all(two(), jobs=1)
    assert two()[0].name in queue.queued()
    assert queue.states["other"] == "Running"


def test_what_a_worker_runs_is_left_to_it(queue):
    queue = queue(workers=1, **{two()[0].name: "Running"})
    assert systems.stranded([two()[0].name]) == []


def test_a_failure_ends_the_comparison_with_what_it_printed(queue, monkeypatch):
    queue = queue()

    def fails(*command):
        answer = queue(*command)
        if command[:3] == ("dvc", "queue", "start"):
            queue.states[two()[0].name] = "Failed"
        return answer

    monkeypatch.setattr(systems, "run", fails)
    with pytest.raises(SystemExit, match=f"what {two()[0].name} printed"):
        systems.run_all(two(), jobs=1)


def test_cores_are_shared_among_jobs(queue, monkeypatch):
    queue()
    monkeypatch.setattr(systems.machine, "cores", lambda: 8)
    systems.run_all(two(), jobs=2)
    assert systems.os.environ == {"OMP_NUM_THREADS": "4", "PETSEG_WORKERS": "4"}


@pytest.fixture
def line(monkeypatch):
    """UNet of report C with two seeds, whose valid Dice rises by 0.1 and 0.2 an epoch of 10 seconds."""
    runs = two()
    files = {}
    for run, step in zip(runs, (0.1, 0.2), strict=True):
        rows = [f"{epoch},{step * epoch:.1f}" for epoch in (1, 2, 3, 4)]
        files[run.name] = {
            "plots/train/unet.csv": "\n".join(["epoch,valid_dice", *rows]),
            "models/unet.run.json": json.dumps({"seconds": 40.0, "images_per_second": 30.0}),
            "metrics/train_unet.json": json.dumps({"unet": {"valid_dice": 4 * step}}),
            "metrics/test.json": json.dumps({"unet": {"dice": 3 * step}}),
        }
    monkeypatch.setattr(systems.Experiment, "read", lambda run, path: files[run.name][path])
    return systems.Line("unet", system(), runs)


def test_dice_is_a_mean_over_seeds_with_its_standard_deviation(line):
    assert line.dice(0) == "0.6000 ± 0.2828"  # of 0.4 and 0.8
    assert line.dice(1) == "0.4500 ± 0.2121"  # of 0.3 and 0.6
    assert line.final_valid() == pytest.approx(0.6)


def test_one_seed_has_no_spread(line):
    assert systems.Line("unet", system(), line.runs[:1]).dice(0) == "0.4000"


def test_seconds_to_a_dice_are_those_of_the_first_epoch_that_has_it_in_each_seed(line):
    assert line.seconds_to(0.4) == "30"  # epoch 4 and epoch 2
    assert line.seconds_to(0.5) == "–"  # the first seed never does


def test_a_row_holds_what_the_header_says(line):
    cells = [cell.strip() for cell in line.row(target=0.4).strip("|").split("|")]
    facts = dict(zip(systems.COLUMNS.split(", "), cells, strict=True))
    assert facts["network"] == "UNet"
    assert (facts["recipe"], facts["epochs"], facts["seconds"], facts["images/s"]) == ("c", "4", "40", "30")
    assert facts["million parameters"] == "31.03"
    assert 17 < float(facts["GFLOP/image"]) < 19  # 3 x 5.9, that of one forward pass at 64 pixels


def test_the_command_is_written_down_as_a_shell_takes_it_but_for_addresses_of_the_machine(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["systems.py", "c:seed=1;lr=1e-3", "-S", "data.url=file:///home/me", "-S", "lr=1e-3"]
    )
    expected = "python benchmarks/systems.py 'c:seed=1;lr=1e-3' -S data.url=... -S lr=1e-3"
    assert systems.command() == expected
