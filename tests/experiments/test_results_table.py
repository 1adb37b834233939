"""`petseg results`: what it lists, folds, selects, sorts and prints, in a repository of fabricated experiments."""

import csv
import io
import json
import os
import resource
import subprocess
import sys

import pytest

from petseg.experiments import collect, query, results_command, revisions, table
from petseg.runtime.errors import PetsegError
from support import repositories
from support.paths import ROOT
from support.repositories import result

ENV = os.environ | {"PYTHONPATH": str(ROOT / "src")}
pytestmark = pytest.mark.xdist_group("results table")  # they share a repository


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """HEAD, three seeds of width 32, a lower lr, other code, and two experiments that cannot be shown."""
    folder = tmp_path_factory.mktemp("experiments")
    head = result(folder, {}, 0.93, seconds=50) | {
        path: (ROOT / path).read_text() for path in ("dvc.yaml", ".dvc/config")
    }
    wide = {f"wide-{seed}": result(folder, {"unet.width": 32, "seed": seed}, 0.94 + 0.01 * seed) for seed in (0, 1, 2)}
    again = {"again": result(folder, {"unet.width": 32, "seed": 0}, 0.94)}
    slow = {"slow": result(folder, {"lr": 1e-4, "optimizer.weight_decay": 0.01}, 0.9)}
    code = {"code": result(folder, {}, 0.92)}
    config = "- path: src/petseg/config\n      hash: md5\n      md5: "
    code["code"]["dvc.lock"] = code["code"]["dvc.lock"].replace(config, f"{config}0")
    partial = {"partial": result(folder, {"unet.width": 8}, 0.93)}
    weights = "- path: models/unet.safetensors\n      hash: md5\n      md5: "
    partial["partial"]["dvc.lock"] = partial["partial"]["dvc.lock"].replace(weights, f"{weights}0", 1)
    broken = {"broken": result(folder, {}, 0.93) | {"metrics/test.json": "{"}}
    repositories.repository(folder, head, wide | again | slow | code | partial | broken)
    return folder


@pytest.fixture
def entries(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return collect.collect()[0]


def names(entries):
    return [each.name for each in entries]


def test_all_experiments_are_collected_and_unusable_ones_told(folder, monkeypatch):
    monkeypatch.chdir(folder)
    entries, problems = collect.collect()
    assert names(entries) == ["main", "wide-0", "wide-1", "wide-2", "again", "slow", "code"]
    assert "partial has the scores of other networks than it trained" in problems[0]
    assert "broken:metrics/test.json is not a JSON file" in problems[1]
    assert entries[0].changes == {}
    assert entries[1].changes == {"seed": 0, "unet.width": 32}
    assert entries[6].changes == {"code": True}
    assert entries[0].seconds == {"unet": 50, "resnet34_unet": 50}
    assert entries[5].scores["unet.dice"] == 0.9


def test_seeds_are_folded_and_a_repeated_seed_counts_once(entries):
    rows = query.fold(entries)
    assert [row.name for row in rows] == ["main", "wide-0 +2", "slow", "code"]
    assert rows[1].spread("unet") == pytest.approx((0.95, 0.01, 3))
    assert rows[1].changes == {"unet.width": 32}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["lr<1e-3"], ["slow"]),
        (["unet.dice >= 0.95"], ["wide-1", "wide-2"]),
        (["name=wide-*", "seed!=1"], ["wide-0", "wide-2"]),
        (["weight_decay>0"], ["slow"]),
        (["seconds>20"], ["main"]),
        (["unet.lr=null", "optimizer.name=sgd"], []),
    ],
)
def test_conditions_select(entries, conditions, expected):
    assert names(query.where(entries, conditions)) == expected


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("unet.widht<8", "No experiment has unet.widht; the nearest key is unet.width."),
        ("width<8", "width could be unet.width, resnet34_unet.width; write one of them."),
        ("lr", "--where 'lr' is not a condition; write one such as 'lr<1e-3' or 'name=laptop-*'."),
    ],
)
def test_a_wrong_condition_ends_with_a_sentence(entries, condition, sentence):
    with pytest.raises(PetsegError) as error:
        query.where(entries, [condition])
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("column", "first"), [("unet", "wide-0 +2"), ("-unet", "slow"), ("lr", "slow"), ("seconds", "wide-0 +2")]
)
def test_rows_are_sorted(entries, column, first):
    assert query.sort(query.fold(entries), column, query.keys(entries))[0].name == first


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_of_a_table_is_wider_than_the_terminal(entries, width):
    for text in (table.text(query.fold(entries), "HEAD", width), table.everything(entries, width)):
        assert max(map(len, text.splitlines())) <= width


def test_the_table_shows_what_differs_and_the_spread(entries):
    lines = table.text(query.fold(entries), "HEAD", 80).splitlines()
    assert lines[0].split() == ["experiment", "differs", "from", "HEAD", "UNet", "ResNet34-UNet", "seconds", "n"]
    assert lines[1].split() == ["main", "0.9300", "0.9100", "100", "1"]
    assert " ".join(lines[2].split()) == "wide-0 +2 unet.width=32 0.9500 ± 0.0100 0.9300 ± 0.0100 20 3"
    assert lines[3].split()[:3] == ["slow", "lr=1e-4", "+1"]
    assert lines[4].split()[:2] == ["code", "code"]


def test_markdown_csv_and_json_hold_everything(entries):
    row = table.markdown(query.fold(entries), "HEAD").splitlines()[4]
    assert row == "| slow | `lr=1e-4` `weight_decay=0.01` | 0.9000 | 0.8800 | 20 | 1 |"
    [_, *rows] = csv.reader(io.StringIO(table.as_csv(entries)))
    assert [row[0] for row in rows] == names(entries)
    assert json.loads(table.as_json(entries))[5]["params"]["lr"] == 1e-4


def test_formats_exclude_each_other(entries):
    with pytest.raises(PetsegError, match="--md and --csv exclude each other"):
        results_command.run("", [], False, ["md", "csv"])


def test_failed_experiments_of_the_queue_are_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    head = repositories.git(folder, "rev-parse", "HEAD")
    message = f"commit: dvc-exp:{head}:{head}:unlucky"
    repositories.git(folder, "update-ref", "--create-reflog", "-m", message, "refs/exps/celery/failed", head)
    assert revisions.failed() == ["unlucky"]
    repositories.git(folder, "update-ref", "-d", "refs/exps/celery/failed")


def test_fifty_experiments_take_less_than_a_second(tmp_path):
    same = result(tmp_path, {}, 0.93)
    experiments = {f"e{i}": same | {"params.yaml": f"{same['params.yaml']}# {i}\n"} for i in range(50)}
    repositories.repository(tmp_path, same, experiments)
    command = [sys.executable, "-m", "petseg", "results", "--all"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=tmp_path, env=ENV, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(done.stdout.splitlines()) == 1 + 51 * 3
    # Time of the processor: other processes would disturb that of the clock. Git's processes count, too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_figures_equal_those_of_dvc(folder, tmp_path):
    (folder / "own").mkdir(exist_ok=True)
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    env = ENV | {"DVC_SITE_CACHE_DIR": str(tmp_path), "PATH": path}

    def printed(*command):
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    ours = {each["name"]: each for each in printed(sys.executable, "-m", "petseg", "results", "--json")}
    commits = printed("dvc", "exp", "show", "--json")
    theirs = {rev["name"]: rev["data"] for each in commits[1]["experiments"] for rev in each["revs"]}
    assert {*theirs, "main"} == {*ours, "partial", "broken"}
    for name in set(ours) - {"main"}:
        data = theirs[name]
        scores = {
            f"{network}.{score}": value
            for file in data["metrics"].values()
            for network, found in file["data"].items()
            for score, value in found.items()
        }
        assert ours[name]["scores"] == scores
        assert ours[name]["params"] == dict(flat(data["params"]["params.yaml"]["data"]))


def flat(values, prefix=""):
    for key, value in values.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
