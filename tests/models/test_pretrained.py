"""Weights of torchvision's ResNet-34 in the encoder of ResNet34-UNet."""

import hashlib
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet34

from petseg import models
from petseg.config import params
from petseg.models import pretrained
from petseg.runtime.errors import ParamsError, PetsegError
from support.paths import COMMITTED
from support.reported import settle


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    network = resnet34()
    settle(network, torch.randn(4, 3, 64, 64))
    return network


@pytest.fixture
def file(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "resnet34.pth")
    return tmp_path / "resnet34.pth"


def load(encoder, *overrides):
    p = params.load(COMMITTED, overrides=["resnet34_unet.width=64", f"resnet34_unet.encoder={encoder}", *overrides])
    torch.manual_seed(1)
    network = models.build("resnet34_unet", p)
    return network, pretrained.load_encoder(network, p.training("resnet34_unet"))


def test_every_stage_computes_what_torchvision_computes(theirs, file):
    network, sha256 = load(file)
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert all(parameter.requires_grad for parameter in network.parameters())
    network.eval()
    pixels = 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        ours = network.normalize(pixels)
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(ours))))
        ours = network.stem(ours)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
        for number, stage in enumerate(network.encoder, start=1):
            ours, expected = stage(ours), getattr(theirs, f"layer{number}")(expected)
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1


def test_the_decoder_keeps_its_random_weights_and_null_changes_nothing(file):
    network, _ = load(file)
    fresh, sha256 = load("null")
    assert sha256 is None
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, fresh.state_dict()[name])}
    assert changed
    assert all(name.startswith(("stem.", "encoder.")) for name in changed)


def test_safetensors_in_any_order_and_without_a_classifier(theirs, file, tmp_path):
    state = {name: value for name, value in sorted(theirs.state_dict().items()) if not name.startswith("fc.")}
    save_file(state, tmp_path / "encoder.safetensors")
    first, second = (load(path)[0].state_dict() for path in (file, tmp_path / "encoder.safetensors"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_imagenet_weights_come_from_the_cache_and_are_verified(theirs, file, tmp_path, monkeypatch):
    class Weights:
        url = f"https://example.org/resnet34-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"

        @classmethod
        def get_state_dict(cls, **options):
            raise OSError("no network")

    name = Weights.url.rpartition("/")[2]
    monkeypatch.setattr("torchvision.models.ResNet34_Weights", SimpleNamespace(IMAGENET1K_V1=Weights))
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(PetsegError, match=rf"{name} could not be downloaded \(no network\); .* as .*{name}"):
        load("imagenet")
    (tmp_path / "cache").mkdir()
    cached = tmp_path / "cache" / name
    cached.write_bytes(file.read_bytes())
    loaded, _ = load("imagenet")
    assert torch.equal(loaded.stem[0][0].weight, theirs.conv1.weight)
    cached.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PetsegError, match="is damaged, its SHA-256 does not begin with"):
        load("imagenet")


def test_files_that_hold_something_else_are_refused(file, tmp_path):
    with pytest.raises(PetsegError, match=r"none\.pth does not exist; correct resnet34_unet\.encoder"):
        load(tmp_path / "none.pth")
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(PetsegError, match=r"is not a state dict that torch\.save or safetensors wrote"):
            load(tmp_path / name)
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(PetsegError, match=r"does not hold weights of torchvision's ResNet-34 \("):
        load(tmp_path / "other.pth")


@pytest.mark.parametrize(
    "override", ["resnet34_unet.width=32", "resnet34_unet.shortcut=3", "resnet34_unet.padding=reflect"]
)
def test_the_layers_must_be_those_of_torchvision(override):
    with pytest.raises(ParamsError, match=r"loads weights of torchvision's ResNet-34, which need"):
        load("imagenet", override)
    with pytest.raises(ParamsError, match="both name initial weights"):
        load("imagenet", "resnet34_unet.start=x.safetensors")
