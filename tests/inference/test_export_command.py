"""What `petseg export` writes and says."""

from pathlib import Path

import onnx
import pytest
import torch

from petseg import models
from petseg.inference import export_command, page
from petseg.inference.web_runtime import Runtime
from petseg.models import weights
from petseg.runtime.errors import PetsegError
from support import trainings


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with models/unet.safetensors."""
    monkeypatch.chdir(tmp_path)
    p = trainings.settings()
    torch.manual_seed(0)
    network = models.build("unet", p)
    weights.save("models/unet.safetensors", network.state_dict(), trainings.record(p.training("unet")))
    return tmp_path


def test_the_best_network_is_written_beside_its_weights(project, capsys):
    export_command.export_onnx(None, None, half=True, channels_first=True, dynamic=False, overwrite=False)
    assert onnx.load(project / "models/unet.onnx").graph.input[0].type.tensor_type.shape.dim[1].dim_value == 3
    said = capsys.readouterr().out
    assert said.startswith("Network: models/unet.safetensors (UNet, valid Dice 0.9000")
    assert "models/unet.onnx: " in said
    assert "weights that are not rounded" in said


@pytest.mark.parametrize("weights", [None, Path("boxed")])
def test_the_network_of_the_package_is_written_to_the_working_directory(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.chdir(tmp_path)
    export_command.export_onnx(weights, None, half=True, channels_first=False, dynamic=False, overwrite=False)
    assert ("that comes with petseg" in capsys.readouterr().out) == (weights is None)
    assert [path.name for path in tmp_path.iterdir()] == ["boxed.onnx"]
    assert onnx.load("boxed.onnx").graph.input[0].type.tensor_type.shape.dim[1].dim_value == 128


def test_a_page_is_written_and_not_replaced(project, capsys, monkeypatch):
    monkeypatch.setattr(page, "find_runtime", lambda folder: Runtime(b"export default 0", b"\0asm"))
    file = project / "models/unet.safetensors"
    export_command.export_html(file, project / "a.html", None, overwrite=False)
    text = (project / "a.html").read_text()
    assert "0.9000" in text
    assert "a.html: " in capsys.readouterr().out
    with pytest.raises(PetsegError, match=r"a\.html exists; overwrite it with --overwrite"):
        export_command.export_html(file, project / "a.html", None, overwrite=False)
