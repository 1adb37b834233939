"""What a user can do wrong while driving the pipeline."""

import shutil

import pytest
import yaml

from support.project import ran


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\nlr: 5e-3", "\nlr: 5", "lr is 5"),
        ("\n  width: 8", "\n  widht: 8", "unet.widht is not a parameter; the nearest that is: unet.width."),
    ],
)
def test_after_a_mistake_everything_comes_back(project, old, new, words):
    kept = ["models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv"]
    before = {name: (project.folder / name).read_bytes() for name in kept}
    project.edit("params.yaml", old, new)
    output = project.dvc("repro", status=255)
    assert words in output
    assert "Traceback" not in output
    project.edit("params.yaml", new, old)
    assert ran(project.dvc("repro")) == []
    assert {name: (project.folder / name).read_bytes() for name in kept} == before
    assert project.git("status", "--porcelain") == ""


def test_parameters_that_change_while_a_stage_runs_are_not_recorded(project):
    """DVC's open bug 11058: it would write the new learning rate beside the old one's result."""
    project.edit("src/petseg/training/loop.py", "on_epoch(state.history)", "on_epoch(state.history); _later()")
    project.edit(
        "src/petseg/training/loop.py",
        "\n\n@dataclass",
        "\n\ndef _later():\n    from pathlib import Path\n    p = Path('params.yaml')\n"
        "    p.write_text(p.read_text().replace('\\nseed: 88', '\\nseed: 89'))\n\n\n@dataclass",
    )
    output = project.dvc("repro", "train_unet", status=255)
    change = "params.yaml changed while this stage ran: seed was 88 and is now 89"
    assert output.count(f"warning: {change}; put it back before the end") == 3  # after each epoch but the first
    assert f"error: {change}; the result of this stage was not recorded" in output
    assert "Traceback" not in output
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())
    assert lock["stages"]["train_unet"]["params"]["params.yaml"]["seed"] == 88
    assert "train_unet:" in project.dvc("status")
    shutil.rmtree(project.folder / ".petseg")  # the checkpoint of a training that nobody will continue
    project.restore()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\nlr: ", "\nlearnrate: ", "learnrate is not a parameter"),
        ("\nlr: ", "\nlr: [", "not valid YAML"),
    ],
)
def test_a_wrong_params_file_ends_before_any_work(project, old, new, words):
    project.edit("params.yaml", old, new)
    before = (project.folder / "models/unet.safetensors").read_bytes()
    for stage in ("fetch_data.py", "split.py", "train.py", "evaluate.py", "report.py"):
        arguments = ["unet"] if stage == "train.py" else []
        output = project.run("python", f"stages/{stage}", *arguments, status=2)
        assert words in output
        assert output.startswith("error: ")
        assert output.count("\n") == 1
    assert (project.folder / "models/unet.safetensors").read_bytes() == before
    project.restore()


def test_evaluate_refuses_weights_of_other_parameters(project):
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    output = project.run("python", "stages/evaluate.py", status=1)
    assert output.startswith("error: models/unet.safetensors was trained with seed 88, params.yaml says 89")
    project.restore()
