"""Weights files: round trip, and files that are refused."""

import pytest
import torch
from safetensors.torch import save_file

from petseg import models
from petseg.config import params
from petseg.models import weights
from petseg.runtime.errors import PetsegError
from support.paths import COMMITTED

P = params.load(COMMITTED, overrides=["unet.width=4"])
DATA = "ab" * 32


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = models.build("unet", P)
    path = tmp_path / "unet.safetensors"
    weights.save(path, weights.snapshot(network), P.training("unet"), DATA)
    return path, network


def test_round_trip(saved):
    path, network = saved
    other = models.build("unet", P)
    weights.load(path, other, P.training("unet"), DATA)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())


def test_equal_state_gives_equal_bytes(saved, tmp_path):
    path, network = saved
    channels_last = network.to(memory_format=torch.channels_last)
    weights.save(tmp_path / "b", weights.snapshot(channels_last), P.training("unet"), DATA)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


def refused(path, overrides=(), data=DATA):
    p = params.load(COMMITTED, overrides=["unet.width=4", *overrides])
    with pytest.raises(PetsegError) as error:
        weights.load(path, models.build("unet", p), p.training("unet"), data)
    text = str(error.value)
    assert "dvc repro train_unet" in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lr=0.09", "says 0.09"),
        ("image_size=128", "image_size"),
        ("train.augment=none", "augment a, params.yaml says none"),
        ("unet.width=8", "width 4, params.yaml says 8"),
        ("unet.padding=reflect", "padding zeros, params.yaml says reflect"),
        ("loss.smooth=1", "loss.smooth 0.0, params.yaml says 1"),
        ("train.ema=0.9", "ema None, params.yaml says 0.9"),
    ],
)
def test_weights_of_other_parameters_are_refused(saved, override, words):
    assert words in refused(saved[0], [override])


def test_weights_of_other_data_are_refused(saved):
    assert "other data" in refused(saved[0], data="cd" * 32)


def test_only_effective_values_are_compared(saved):
    p = params.load(COMMITTED, overrides=["unet.width=4", f"unet.lr={P.lr}", "lr=0.05", "resnet34_unet.width=8"])
    network = models.build("unet", p)
    weights.load(saved[0], network, p.training("unet"), DATA)
    assert torch.equal(network.head.weight, saved[1].head.weight)


def test_missing_damaged_and_unknown_files_are_refused(saved, tmp_path):
    path, network = saved
    assert "does not exist" in refused(tmp_path / "none.safetensors")
    save_file(network.state_dict(), tmp_path / "other")
    save_file(network.state_dict(), tmp_path / "odd", {"petseg": '{"training": 3, "data_sha256": ""}'})
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(path.read_bytes()[:1000])
    for name in ("other", "odd", "text", "cut", "."):
        assert "not written by petseg" in refused(tmp_path / name)
    state = network.state_dict()
    weights.save(tmp_path / "fewer", dict(list(state.items())[3:]), P.training("unet"), DATA)
    assert "does not fit the present code of unet" in refused(tmp_path / "fewer")


def test_a_full_disk_is_reported_and_the_old_file_stays(saved, small_disk):
    _, network = saved
    (small_disk / "unet.safetensors").write_text("old")
    with pytest.raises(PetsegError, match=r"disk is full: .*unet.safetensors"):
        weights.save(small_disk / "unet.safetensors", weights.snapshot(network), P.training("unet"), DATA)
    assert [each.name for each in small_disk.iterdir()] == ["unet.safetensors"]
    assert (small_disk / "unet.safetensors").read_text() == "old"


def test_file_permissions_follow_the_umask(saved, tmp_path):
    (tmp_path / "other").write_text("")
    assert saved[0].stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_snapshot_does_not_change_with_further_training():
    network = models.build("unet", P)
    saved = weights.snapshot(network)
    before = {key: value.clone() for key, value in saved.items()}
    for parameter in network.parameters():
        parameter.data.add_(1)
    assert all(torch.equal(saved[key], value) for key, value in before.items())
