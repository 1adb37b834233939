"""The network that is used if none is named."""

import pytest

from petseg.inference.choose import all_weights, best_weights
from petseg.runtime.errors import PetsegError
from support.photos import save_network


@pytest.mark.parametrize(("other", "best"), [(0.91, "resnet34_unet"), (0.89, "unet"), (0.9, "unet")])
def test_the_network_with_the_highest_valid_dice_is_taken(tmp_path, other, best):
    save_network(tmp_path / "unet.safetensors", "unet", 0.9)
    save_network(tmp_path / "resnet34_unet.safetensors", "resnet34_unet", other)
    path, line = best_weights(tmp_path)
    assert path == tmp_path / f"{best}.safetensors"
    assert str(path) in line
    assert f"valid Dice {max(other, 0.9):.4f}, the highest of 2" in line


def test_a_single_network_is_taken_whatever_its_name(tmp_path):
    save_network(tmp_path / "my network.safetensors", valid_dice=0.25)
    path, line = best_weights(tmp_path)
    assert path.name == "my network.safetensors"
    assert line.endswith("(UNet, valid Dice 0.2500, the only one there)")


def test_all_networks_are_in_the_order_of_the_registry(tmp_path):
    for name, network in (("a", "resnet34_unet"), ("c", "unet"), ("b", "unet")):
        save_network(tmp_path / f"{name}.safetensors", network)
    assert [path.stem for path in all_weights(tmp_path)] == ["b", "c", "a"]


def test_without_a_network_a_split_cannot_be_shown(tmp_path):
    with pytest.raises(PetsegError, match=r"no trained network in .*none; train one with `dvc repro`, or name a file"):
        all_weights(tmp_path / "none")
