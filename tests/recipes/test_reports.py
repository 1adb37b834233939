"""The recipes a to d against the four reports, whose values are written down here a second time, from their text."""

import pytest

from petseg.config import params
from petseg.config.networks import FINE_TUNING
from support.paths import COMMITTED

# Choices of the machine, which no report makes.
MACHINE = {"network", "precision", "micro_batch", "deterministic", "compile"}

# Common to all reports: the task, what every listing trains with, and what none of them uses.
ALL = {
    "image_size": 256,
    "width": 64,
    "optimizer.name": "adam",
    "schedule.warm_up": 0,
    "cutmix": 0,
    "progressive": None,
    "patience": None,
    "clip": None,
    "ema": None,
}
# Layers of the ResNet34 encoder where report D is not different.
ENCODER = {"pool": True, "block_stride": 1, "shortcut": 1, "concatenate": "after", "decoder_width": None}

A = ALL | {
    "lr": 7e-4,  # section 4: the command's defaults
    "epochs": 500,
    "batch_size": 64,
    "seed": 88,
    "augment": "a",
    "select": "valid_dice",
    "optimizer.weight_decay": 0,  # Adam(model.parameters(), lr)
    "schedule.name": "cosine",  # CosineAnnealingLR(T_max=epochs)
    "loss.bce": 1,  # b_loss + d_loss
    "loss.cross_entropy": 0,
    "loss.dice": 1,
    "loss.dice_over": "batch",  # equation (1) sums over everything
    "loss.smooth": 0,
    "normalization": "imagenet",  # mean 0.485, 0.456, 0.406
    "norm": "batch",
    "padding": "zeros",
    "upsampling": "transposed",
    "classes": 1,
}
B = ALL | {
    "lr": 1e-4,  # train.py --epochs 30 --batch_size 8 --learning_rate 1e-4
    "epochs": 30,
    "batch_size": 8,
    "augment": "b",
    "select": "valid_dice",
    "optimizer.weight_decay": 0,
    "schedule.name": "constant",
    "loss.bce": 1,  # BCEWithLogitsLoss alone
    "loss.cross_entropy": 0,
    "loss.dice": 0,
    "normalization": "half",  # mean 0.5, std 0.5
    "norm": "batch",
    "padding": "zeros",
    "upsampling": "transposed",
    "classes": 1,
}
C = ALL | {
    "epochs": 30,  # not stated, chosen here
    "batch_size": 16,  # not stated, chosen here
    "augment": "c",
    "select": "valid_loss",
    "optimizer.weight_decay": 3e-5,
    "optimizer.decay": "l2",  # the weight_decay of torch's Adam
    "schedule.name": "plateau",  # ReduceLROnPlateau('min', patience=2, factor=0.5)
    "schedule.patience": 2,
    "schedule.factor": 0.5,
    "loss.bce": 1,
    "loss.cross_entropy": 0,
    "loss.dice": 1,
    "loss.dice_over": "image",  # sum(dim=(2, 3)), then the mean
    "loss.smooth": 1,
    "normalization": "half",
    "norm": "none",  # conv_block has convolutions and ReLU
    "padding": "zeros",
    "upsampling": "transposed",
    "classes": 1,
}
D = ALL | {
    "lr": 1e-3,  # section 5: --epochs 300 --batch_size 20 (UNet) or 60 --learning_rate 0.001
    "epochs": 300,
    "augment": "d_elastic_or_crop",
    "select": "valid_dice",
    "optimizer.weight_decay": 0,
    "schedule.name": "constant",
    "loss.bce": 0,
    "loss.cross_entropy": 1,
    "loss.dice": 0,
    "normalization": "none",  # pixels from 0 to 255
    "norm": "batch",
    "padding": "reflect",
    "upsampling": "bilinear",
    "align_corners": True,  # nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)
    "classes": 2,
}
RESNET_A = {"bottleneck": "halve", "last_step": "none", "head": "transposed", "head_size": 1}
RESNET_B = {"bottleneck": "widen", "last_step": "stage1", "head": "bilinear", "head_size": 1, "align_corners": True}
RESNET_C = {"bottleneck": "none", "last_step": "stem", "head": "bilinear", "head_size": 1, "align_corners": False}
RESNET_D = {"pool": True, "block_stride": 2, "shortcut": 3, "bottleneck": "narrow", "decoder_width": 32}
RESNET_D |= {"concatenate": "before", "last_step": "plain", "head": "bilinear", "head_size": 3}
# tests/models compares the networks themselves with the reports.
REPORTED = {
    ("a", "unet"): A,
    ("a", "resnet34_unet"): A | ENCODER | RESNET_A,
    ("b", "unet"): B,
    ("b", "resnet34_unet"): B | ENCODER | RESNET_B,
    ("c", "unet"): C | {"lr": 5e-4},
    ("c", "resnet34_unet"): C | ENCODER | RESNET_C | {"lr": 1e-4},
    ("d", "unet"): D | {"batch_size": 20},
    ("d", "resnet34_unet"): D | RESNET_D | {"batch_size": 60},
}


@pytest.mark.parametrize(("report", "network"), REPORTED)
def test_recipe_has_the_values_of_its_report(report, network):
    reported = REPORTED[report, network]
    used = params.load(COMMITTED, recipe=report).training(network).flat()
    assert {key: used[key] for key in reported} == reported
    # A value that the report does not give must be one without an effect, or the seed.
    assert (used["start"], used["encoder"]) == (None, None)  # trained from scratch
    assert (used["encoder_lr"], used["encoder_frozen"]) == (1, 0)
    idle = {"seed", *FINE_TUNING, "optimizer.momentum", "optimizer.decay", "schedule.patience", "schedule.factor"}
    idle |= {"loss.dice_over", "loss.smooth"} if used["loss.dice"] == 0 else set()
    bilinear = used["upsampling"] == "bilinear" or used.get("head") == "bilinear" or used.get("last_step") == "stem"
    idle |= set() if bilinear else {"align_corners"}
    assert used.keys() - reported.keys() - MACHINE <= idle


@pytest.mark.parametrize("report", "abcd")
def test_recipe_trains_and_scores_on_the_reports_data(report):
    p = params.load(COMMITTED, recipe=report)
    assert (p.data.source, p.split.rule, p.evaluate.flips) == ("oxford", "report", False)


@pytest.mark.parametrize("recipe", ["a", "b", "c", "d", "laptop", "oxford", "pretrained"])
def test_recipes_for_a_gpu_train_in_bf16(recipe):
    expected = "fp32" if recipe == "laptop" else "bf16"
    assert params.load(COMMITTED, recipe=recipe).train.precision == expected
