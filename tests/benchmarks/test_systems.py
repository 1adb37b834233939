"""The comparison of recipes, without DVC: what it asks DVC to run, and the table it makes of results."""

import json
import sys
from dataclasses import replace

import pytest

import systems
from support.paths import ROOT

BOTH = ("unet", "resnet34_unet")


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(systems, "head", lambda: "0123456789abcdef")
    monkeypatch.setattr(systems.time, "sleep", lambda seconds: None)


def system(spec="c", *common):
    return systems.System(spec, ("image_size=64", *common))


def test_changes_apply_to_the_recipe():
    changed = system("c:train.augment=none;unet.lr=1e-5", "seed=3").params
    assert (changed.train.augment, changed.unet.lr, changed.image_size, changed.seed) == ("none", 1e-5, 64, 3)
    assert changed.optimizer == system().params.optimizer


def test_equal_trainings_have_equal_names_and_different_ones_differ():
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
    assert {"unet.epochs=5", "resnet34_unet.epochs=7", "seed=1"} <= set(system().experiment(lengths, 1).settings)


@pytest.mark.parametrize(
    ("seconds", "capped", "epochs"), [(154, False, (100, 300)), (154, True, None), (1, False, (2, 2))]
)
def test_number_of_epochs_that_fit(monkeypatch, seconds, capped, epochs):
    """Trainings take 4 seconds to start, and then 1.5 (UNet) and 0.5 seconds (ResNet34-UNet) per epoch."""

    def training_seconds(systems, epochs, jobs):
        return [{"unet": 4 + 1.5 * each["unet"], "resnet34_unet": 4 + 0.5 * each["resnet34_unet"]} for each in epochs]

    monkeypatch.setattr(systems, "training_seconds", training_seconds)
    most = system().params.training("unet").epochs  # of the recipe
    assert most < 100
    expected = dict(zip(BOTH, epochs or (most, most), strict=True))
    assert systems.epochs_that_fit([system()], seconds, capped, jobs=1) == [expected]


class Queue:
    """Takes the place of git and DVC; holds the state of each experiment: Queued, Running, Success or Failed."""

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


@pytest.mark.parametrize(
    ("state", "queued"), [(None, [0, 1]), ("Success", [1]), ("Queued", [1]), ("Failed", [0, 1]), ("Running", [0, 1])]
)
def test_experiments_are_queued_unless_they_wait_or_have_succeeded(queue, state, queued):
    """Without a worker, `Running` is left from a worker that was killed."""
    earlier = {two()[0].name: state} if state else {}
    queue = queue(failed="Failed", running="Running", **earlier)
    systems.run_all(two(), jobs=1)
    assert sorted(set(queue.queued())) == sorted(two()[number].name for number in queued)
    assert (queue.states["failed"], queue.states["running"]) == ("Failed", "Running")  # not of this comparison
    queue.calls.clear()
    systems.run_all(two(), jobs=1)
    assert queue.queued() == []
    queue.workers, queue.states[two()[0].name] = 1, "Running"
    assert systems.stranded([two()[0].name]) == []


def test_a_failure_ends_the_comparison_with_its_output(queue, monkeypatch):
    queue = queue()

    def fails(*command):
        answer = queue(*command)
        if command[:3] == ("dvc", "queue", "start"):
            queue.states[two()[0].name] = "Failed"
        return answer

    monkeypatch.setattr(systems, "run", fails)
    with pytest.raises(SystemExit, match=f"what {two()[0].name} printed"):
        systems.run_all(two(), jobs=1)


def test_jobs_share_the_cores(queue, monkeypatch):
    queue()
    monkeypatch.setattr(systems.machine, "cores", lambda: 8)
    systems.run_all(two(), jobs=2)
    assert systems.os.environ == {"OMP_NUM_THREADS": "4", "PETSEG_WORKERS": "4"}


def scores_table(dice):
    """Dice of 100 test images: 50 of one breed, and 50 of as many breeds, which are easier."""
    rows = [f"pug,{dice - 0.1}" for _ in range(systems.COMPLETE)] + [f"pug_{i},{dice + 0.1}" for i in range(50)]
    return "\n".join(["breed,unet", *rows])


@pytest.fixture
def result(monkeypatch):
    """UNet of report C with two seeds, whose validation Dice rises by 0.1 and 0.2 per epoch of 10 seconds."""
    runs = two()
    files = {}
    for run, step, precision in zip(runs, (0.1, 0.2), ("fp32", "bf16"), strict=True):
        rows = [f"{epoch},{step * epoch:.1f}" for epoch in (1, 2, 3, 4)]
        facts = {"seconds": 40.0, "images_per_second": 30.0, "precision": precision, "device_name": "Some CPU"}
        files[run.name] = {
            "plots/train/unet.csv": "\n".join(["epoch,valid_dice", *rows]),
            "models/unet.run.json": json.dumps(facts),
            "metrics/train_unet.json": json.dumps({"unet": {"valid_dice": 4 * step}}),
            "plots/test/scores.csv": scores_table(3 * step),
        }
    monkeypatch.setattr(systems.Experiment, "read", lambda run, path: files[run.name][path])
    return systems.Result("unet", system(), runs)


def test_dice_is_a_mean_over_seeds_with_its_standard_deviation(result):
    assert result.dice(0) == "0.6000 ± 0.2828"  # of 0.4 and 0.8
    assert result.dice(1) == "0.4500 ± 0.2121"  # of 0.3 and 0.6
    assert result.dice(2) == "0.3500 ± 0.2121"  # of the breed with many images
    assert result.final_valid_dice() == pytest.approx(0.6)
    assert systems.Result("unet", system(), result.runs[:1]).dice(0) == "0.4000"


def test_seconds_to_a_dice_end_with_the_first_epoch_that_reaches_it_in_every_seed(result):
    assert result.seconds_to(0.4) == "30"  # epoch 4 and epoch 2
    assert result.seconds_to(0.5) == "–"  # the first seed never does


def test_seconds_of_epochs_with_smaller_images(result):
    progressive = replace(result, system=system("c:image_size=128;train.progressive=0.5"))
    # Of 4 epochs, 2 have 64 pixels, one has 96, one 128: 1/4 + 1/4 + 9/16 + 1 of an epoch in 40 seconds
    assert progressive.seconds_to(0.2) == f"{40 * (0.25 + 0.5) / 2 / 2.0625:.0f}"


def test_the_table_of_times_has_a_row_for_each_network_and_system(result, monkeypatch):
    monkeypatch.delitem(systems.NETWORKS, "resnet34_unet")
    lines = systems.times_table([result.system], [result.runs], [0.4, 0.5])
    assert lines[0] == "| network | recipe | seconds to valid Dice 0.40 | seconds to valid Dice 0.50 |"
    assert lines[2:] == ["| UNet | c | 30 | – |"]


def test_cells_of_a_row_match_the_header(result):
    cells = [cell.strip() for cell in result.row(target=0.4).strip("|").split("|")]
    facts = dict(zip(systems.COLUMNS, cells, strict=True))
    expected = {
        "network": "UNet",
        "recipe": "c",
        "processor": "Some CPU",
        "precision": "fp32 / bf16",
        "epochs": "4",
        "seconds": "40",
        "images/s": "30",
        "million parameters": "31.03",
    }
    assert expected.items() <= facts.items()
    assert 17 < float(facts["GFLOP/image"]) < 19  # 3 times the 5.9 of a forward pass at 64 pixels


def test_the_command_is_quoted_for_a_shell_and_hides_addresses(monkeypatch):
    argv = ["systems.py", "c:seed=1;lr=1e-3", "-S", "data.url=file:///home/me", "-S", "lr=1e-3"]
    monkeypatch.setattr(sys, "argv", argv)
    expected = "python benchmarks/systems.py 'c:seed=1;lr=1e-3' -S data.url=... -S lr=1e-3"
    assert systems.command() == expected
