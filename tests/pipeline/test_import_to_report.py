"""A data set of others as own data: what the program says to type, and that it works."""

import os
import re
import shlex

import numpy as np

from support import datasets
from support.project import Project


def petseg(project: Project, command: str) -> str:
    """Runs a command with the project's own code; returns what it prints."""
    path = os.pathsep.join([project.env["PYTHONPATH"], str(project.folder / "src")])
    return project.run(*shlex.split(command), PYTHONPATH=path)


def test_the_sentence_about_a_missing_mask_names_the_command_that_cures_it(project: Project) -> None:
    for i in range(12):
        datasets.save(datasets.photograph(i), project.folder / f"photos/images/car_{i}.jpg")
        datasets.save(np.uint8(datasets.pet(i) * 255), project.folder / f"photos/masks/car_{i}_mask.gif")
    refused = project.dvc("exp", "run", "-S", "data.source=folder", "-S", "data.path=photos", status=255)
    [sentence] = re.findall(r"^error: (.*)", refused, re.MULTILINE)
    assert sentence.startswith(
        "photos/images/car_0.jpg has no mask, but photos/masks/car_0_mask.gif lies there (as for"
    )
    said = petseg(project, sentence.partition("run: ")[2])
    project.run(*shlex.split(said.splitlines()[-1]), "split")  # test_any_data_set.py tests the stages after it
    assert (project.folder / "data/splits.csv").read_text().count("\ncar_") == 12
    assert "photos-clean" in (project.folder / "params.yaml").read_text()
