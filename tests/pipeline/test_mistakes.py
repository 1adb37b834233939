"""Mistakes that a user can make while driving the pipeline."""

import yaml

from support.project import ran

OUTPUTS = ("models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv")


def test_after_mistakes_in_the_parameters_all_results_come_back(project):
    before = project.read(*OUTPUTS)
    for old, new, message in (
        ("\nlr: 0.005", "\nlr: 5", "params.yaml: lr is 5: "),
        ("\n  width: 8", "\n  widht: 8", "unet.widht is not a parameter; the nearest one is unet.width."),
    ):
        project.edit("params.yaml", old, new)
        output = project.dvc("repro", status=255)
        assert message in output
        assert "Traceback" not in output
        project.edit("params.yaml", new, old)
    assert ran(project.dvc("repro")) == []
    assert project.read(*OUTPUTS) == before
    assert project.git("status", "--porcelain") == ""


def test_parameters_that_change_during_a_stage_are_not_recorded_and_its_work_is_not_lost(project):
    """DVC would record the new seed beside the result of the old one (its open issue 11058)."""
    before, locked = project.read(*OUTPUTS), yaml.safe_load((project.folder / "dvc.lock").read_text())
    repro = project.start("dvc", "repro", "--force", "--single-item", "train_unet", hold=True)
    repro.held()  # at the end of the first of four epochs
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    status, output = repro.end()
    assert status == 255
    change = "params.yaml changed while this stage ran: seed was 88 and is now 89"
    assert output.count(f"warning: {change}; restore it before the training ends, or its result is lost") == 3
    assert f"error: {change}; the result of this stage was not recorded" in output
    assert "Traceback" not in output
    assert yaml.safe_load((project.folder / "dvc.lock").read_text()) == locked
    project.edit("params.yaml", "\nseed: 89", "\nseed: 88")
    assert "unet: had already been trained" in project.run("python", "stages/train.py", "unet")
    assert project.read(*OUTPUTS) == before


def test_every_stage_refuses_a_damaged_params_file_with_one_sentence(project):
    project.edit("params.yaml", "\nlr: ", "\nlr: [")
    for stage in (["fetch_data.py"], ["split.py"], ["train.py", "unet"], ["evaluate.py"], ["report.py"]):
        output = project.run("python", f"stages/{stage[0]}", *stage[1:], status=2)
        assert output.startswith("error: params.yaml is not valid YAML, line ")
        assert output.count("\n") == 1


def test_evaluate_refuses_weights_of_other_parameters(project):
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    output = project.run("python", "stages/evaluate.py", status=1)
    assert output.startswith("error: models/unet.safetensors was trained with seed 88, params.yaml says 89")
