"""Own photographs under DVC, as docs/own-data.md describes it: added, pushed, and used by a colleague."""

import re
import shutil
from pathlib import Path

from support.paths import ROOT
from support.project import Project, ran

ADD = "dvc add own/images own/masks own/trainval.txt own/test.txt"


def take_photographs(project: Project) -> None:
    """Fills own/ with the synthetic images of the project, and with lists."""
    raw, own = project.folder / "data/raw", project.folder / "own"
    shutil.copytree(raw / "images", own / "images")
    shutil.copytree(raw / "annotations/trimaps", own / "masks")
    for name in ("trainval.txt", "test.txt"):
        shutil.copy(raw / "annotations" / name, own)


def test_the_documentation_names_the_command():
    for page in ("docs/own-data.md", "own/README.md"):
        assert re.search(rf"(?m)^{ADD}( |$)", (ROOT / page).read_text()), page


def test_photographs_added_to_dvc_reach_a_colleague_and_queued_experiments(project: Project, tmp_path: Path):
    take_photographs(project)
    assert project.git("status", "--porcelain") == ""  # before that, git ignores them
    project.run(*ADD.split())
    added = [f"?? own/{name}.dvc" for name in ("images", "masks", "test.txt", "trainval.txt")]
    assert sorted(project.git("status", "--porcelain").splitlines()) == added
    project.commit("our photographs")
    experiment = ("exp", "run", "-S", "data.source=folder", "-S", "epochs=1")
    assert "fetch_data: folder, 20 trainval and 20 test images" in project.dvc(*experiment)
    project.commit("trained on our photographs")
    project.dvc("remote", "add", "--default", "lab", str(tmp_path / "store"))
    project.commit("a remote")
    project.dvc("push")

    project.git("clone", "--quiet", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", project.site)
    clone.dvc("pull")
    photographs = {path.name: path.read_bytes() for path in (clone.folder / "own/images").iterdir()}
    assert photographs == {path.name: path.read_bytes() for path in (project.folder / "own/images").iterdir()}
    assert "up to date" in clone.dvc("status")
    assert ran(clone.dvc("repro")) == []

    output = clone.dvc("exp", "run", "--temp", "-S", "data.seed=1", "split")  # `data` changed: fetched again, in a copy
    assert ran(output)[0] == "fetch_data"
    assert "fetch_data: folder, 20 trainval and 20 test images" in output
