"""Training on a GPU, compared with a CPU."""

from dataclasses import replace

import pytest
import torch

from petseg import compute
from petseg.config.networks import NETWORKS
from support import trainings

pytestmark = pytest.mark.gpu


def on_gpu(name, **overrides):
    chosen = compute.choose(trainings.settings(**overrides).training(name), torch.device("cuda"))
    return replace(chosen, workers=1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_learns_what_a_cpu_learns(name, precision):
    how = {"epochs": 8, "lr": 1e-2, f"{name}.width": 8, "train.precision": precision}
    images = trainings.squares(16)
    expected, _ = trainings.run(name, train=images, **how)
    result, network = trainings.run(name, train=images, plan=on_gpu(name, **how), **how)
    assert next(network.parameters()).device.type == "cuda"
    assert result.history[-1]["train_loss"] < 0.8 * result.history[0]["train_loss"]
    assert result.history[0]["train_loss"] == pytest.approx(expected.history[0]["train_loss"], rel=0.05)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("recipe", ["a", "b", "c", "d", "oxford", "laptop"])
def test_every_recipe_runs_on_a_gpu_as_on_a_cpu(name, recipe):
    how = {"recipe": recipe, "image_size": 64, "epochs": 2, "lr": 1e-3, "train.precision": "fp32", "train.patience": 2}
    how |= {f"{name}.width": 16, f"{name}.lr": "null", f"{name}.epochs": "null", f"{name}.batch_size": "null"}
    policy = trainings.settings(**how).train.augment
    expected, _ = trainings.run(name, policy, **how)
    result, _ = trainings.run(name, policy, plan=on_gpu(name, **how), **how)
    for ours, theirs in zip(result.history, expected.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=0.05)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("at", [2, 5, 8, 11])
def test_stopped_on_a_gpu_it_resumes_in_the_same_bytes(name, at, tmp_path):
    how = {"epochs": 2, "train.ema": 0.9, "train.clip": 1.0}
    how |= {"plan": on_gpu(name, **how)}
    expected, _ = trainings.run(name, **how)
    resumed = trainings.stop_and_resume(tmp_path, at, name, **how)
    assert trainings.content(resumed, name, tmp_path) == trainings.content(expected, name, tmp_path)
