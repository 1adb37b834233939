"""Weights files: round trip, and files that are refused."""

import dataclasses
import hashlib

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
RECORD = weights.Record(
    P.training("unet").flat(), DATA, start_sha256=None, temperature=1.25, valid_dice=0.9, commit="12ab"
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = models.build("unet", P)
    path = tmp_path / "unet.safetensors"
    weights.save(path, weights.snapshot(network), RECORD)
    return path, network


def test_round_trip(saved):
    path, network = saved
    other = models.build("unet", P)
    weights.load_trained(path, other, P.training("unet"), DATA)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())


def test_equal_state_gives_equal_bytes(saved, tmp_path):
    path, network = saved
    channels_last = network.to(memory_format=torch.channels_last)
    weights.save(tmp_path / "b", weights.snapshot(channels_last), RECORD)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


def refused(path, overrides=(), data=DATA):
    p = params.load(COMMITTED, overrides=["unet.width=4", *overrides])
    with pytest.raises(PetsegError) as error:
        weights.load_trained(path, models.build("unet", p), p.training("unet"), data)
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
    weights.load_trained(saved[0], network, p.training("unet"), DATA)
    assert torch.equal(network.head.weight, saved[1].head.weight)


def test_missing_damaged_and_unknown_files_are_refused(saved, tmp_path):
    path, network = saved
    assert "cannot be read (No such file" in refused(tmp_path / "none.safetensors")
    save_file(network.state_dict(), tmp_path / "other")
    save_file(network.state_dict(), tmp_path / "odd", {"petseg": '{"format": 1, "training": 3}'})
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(path.read_bytes()[:1000])
    for name in ("other", "odd", "text", "cut"):
        assert "not written by petseg" in refused(tmp_path / name)
    assert "Is a directory" in refused(tmp_path)
    state = network.state_dict()
    weights.save(tmp_path / "fewer", dict(list(state.items())[3:]), RECORD)
    assert "does not fit this network: normalize.mean is missing in the file" in refused(tmp_path / "fewer")


def test_weights_stand_alone(saved):
    path, network = saved
    loaded, record = weights.load(path)
    images = 255 * torch.rand(2, 3, 64, 64)
    assert record == RECORD
    assert (record.network, record.label, record.image_size, record.precision) == ("unet", "UNet", 64, "fp32")
    assert torch.equal(loaded(images), network.eval()(images))


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("",))

    torch.save({"a": Trap()}, tmp_path / "zip.pt")
    torch.save({"a": Trap()}, tmp_path / "old.safetensors", _use_new_zipfile_serialization=False)
    for name in ("zip.pt", "old.safetensors"):
        with pytest.raises(PetsegError, match=r"is a pickle.*can run any code"):
            weights.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_read(saved):
    path, _ = saved
    for length in range(0, 300, 8):  # safetensors pads the header to a multiple of 8 bytes
        weights.save(path, {"a": torch.zeros(1)}, dataclasses.replace(RECORD, commit="x" * length))
        assert weights.read(path)[1].commit == "x" * length
        if path.read_bytes().startswith(b"\x80"):
            return
    pytest.fail("no header had such a length")


def test_weights_of_another_version_are_refused(saved, monkeypatch):
    monkeypatch.setattr(weights, "FORMAT", weights.FORMAT + 1)
    with pytest.raises(PetsegError, match="written by another version of petseg; train the network"):
        weights.load(saved[0])


def start(path, *overrides):
    p = params.load(COMMITTED, overrides=["unet.width=4", f"unet.start={path}", *overrides])
    torch.manual_seed(1)
    network = models.build("unet", p)
    return network, weights.load_start(network, p.training("unet"))


def test_a_training_starts_from_weights_but_keeps_its_own_normalization(saved):
    path, network = saved
    started, sha256 = start(path, "unet.normalization=half")
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    before, after = network.state_dict(), started.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"normalize.mean", "normalize.std"}
    assert weights.load_start(network, P.training("unet")) is None


def test_initial_weights_that_do_not_fit_are_refused(saved, tmp_path, monkeypatch):
    with pytest.raises(
        PetsegError, match=r"encoder\.0\.0\.0\.weight is \[4, 3, 3, 3\] in the file and \[8, 3, 3, 3\] in"
    ):
        start(saved[0], "unet.width=8")
    with pytest.raises(
        PetsegError, match=r"none\.safetensors cannot be read .*; correct unet\.start, or set it to null"
    ):
        start(tmp_path / "none.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PetsegError, match="which DVC deletes when this training starts; copy it"):
        start("models/unet.safetensors")


def test_a_full_disk_is_reported_and_the_old_file_stays(saved, small_disk):
    _, network = saved
    (small_disk / "unet.safetensors").write_text("old")
    with pytest.raises(PetsegError, match=r"disk is full: .*unet.safetensors"):
        weights.save(small_disk / "unet.safetensors", weights.snapshot(network), RECORD)
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
