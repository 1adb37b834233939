"""`petseg compare` on fabricated repositories, without DVC."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from petseg.config.networks import NETWORKS
from petseg.config.overrides import flatten, read
from petseg.evaluation import paired
from petseg.experiments import compare, compare_command
from petseg.runtime.errors import PetsegError
from support import repositories
from support.paths import ROOT

BREEDS = [("Bengal", "cat", 20), ("pug", "dog", 14), ("beagle", "dog", 4), ("boxer", "dog", 2)]


def scores(shift, seed, count=40):
    """scores.csv whose networks score `shift` more than others; UNet is 0.05 better than ResNet34-UNet."""
    rng = np.random.default_rng(seed)
    names = [(f"{breed}_{i}", breed, species) for breed, species, n in BREEDS for i in range(n)][:count]
    table = pd.DataFrame(names, columns=["name", "breed", "species"])
    image = np.random.default_rng(7).normal(0.8, 0.05, len(table))
    for number, name in enumerate(NETWORKS):
        dice = image + shift - 0.05 * number + rng.normal(0, 0.01, len(table))
        table[name], table[f"{name}_iou"] = dice, dice - 0.1
        table[f"{name}_dice_original"], table[f"{name}_nsd"] = dice - 0.01, dice - 0.2
    return table.to_csv(index=False, float_format="%.6f")


def experiment(folder, shift=0.0, seed=1, **params):
    files = repositories.result(folder, params | {"seed": seed}, 0.8)
    return files | {"plots/test/scores.csv": scores(shift, seed)}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    laptop = flatten(read(ROOT / "recipes/laptop.yaml").values)
    found = {f"wide-{seed}": experiment(folder, 0.03, 10 + seed, **{"unet.width": 32}) for seed in (1, 2, 3)}
    found |= {f"slow-{seed}": experiment(folder, 0.0, 20 + seed, lr=1e-4) for seed in (1, 2, 3)}
    found["large"] = experiment(folder, 0.0, 30, image_size=128)
    found["other"] = experiment(folder) | {"plots/test/scores.csv": scores(0, 1, count=30)}
    found["old"] = experiment(folder) | {
        "plots/test/scores.csv": "name,breed,species,unet,resnet34_unet\na,b,cat,1,1\n"
    }
    found["mine"] = repositories.result(folder, laptop | {"seed": 5}, 0.8) | {"plots/test/scores.csv": scores(0.02, 40)}
    recipes = {"recipes/laptop.yaml": (ROOT / "recipes/laptop.yaml").read_text()}
    repositories.repository(folder, experiment(folder) | recipes, found)
    return folder


@pytest.fixture
def run(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)

    def command(first=None, second=None, networks=(), score="dice", form=(), page=None):
        compare_command.run(first, second, networks, score, form, page)
        return capsys.readouterr().out

    return command


def test_the_workspace_compares_its_networks(run):
    out = run()
    assert out.startswith("UNet is better than ResNet34-UNet by 0.0")
    assert "Seeds are not considered: one each." in out
    assert max(map(len, out.splitlines())) <= 80


def test_an_experiment_is_compared_with_head_by_network(run):
    out = run("wide-1")
    assert out.startswith("UNet: wide-1 is better than HEAD by 0.0")
    assert "\nResNet34-UNet: wide-1 is better than HEAD by 0.0" in out
    assert "They differ only in unet.width (32, 16)." in out
    assert "corrected for the number of networks" in out


def test_seeds_are_one_side_and_the_figures_are_those_of_paired(run):
    found = json.loads(run("wide-*", "slow-*", form=["json"]))
    assert found["differ_in"][0] == "lr (0.003, 0.0001)"
    unet = found["comparisons"][0]
    assert unet["seeds"] == [3, 3]
    sides = [
        np.stack([compare.find(f"{name}-{seed}")[0].scores["unet"].to_numpy() for seed in (1, 2, 3)])
        for name in ("wide", "slow")
    ]
    expected = paired.difference(*sides)
    whole = unet["groups"][0]
    assert [whole[key] for key in ("difference", "low", "high")] == pytest.approx(expected[:3], abs=1e-6)
    assert unet["seeds_needed"] is None  # 40 images are too few for 0.002
    assert 0 < unet["detectable"] < expected.mean
    assert unet["verdict"].startswith("UNet: wide-* is better than slow-* by 0.0")


def test_small_groups_are_merged_and_corrected(run):
    rows = pd.read_csv(pd.io.common.StringIO(run("wide-1", networks=["unet"], form=["csv"])))
    assert list(rows["group"][:3]) == ["all", *sorted(["cat", "dog"], key=lambda each: list(rows["group"]).index(each))]
    breeds = rows[rows["kind"] == "breed"]
    assert dict(zip(breeds["group"], breeds["images"], strict=True)) == {"Bengal": 20, "pug": 14, "others": 6}
    assert breeds["p_holm"].to_numpy() == pytest.approx(paired.holm(breeds["p"].to_numpy()), abs=1e-6)


def test_no_difference_is_said(run):
    assert "UNet: no difference shown between slow-1 and HEAD: " in run("slow-1")


def test_equal_scores_are_said(run):
    out = run("HEAD", "main")
    assert out.startswith("UNet: HEAD and main have equal scores on all 40 images.")
    assert "They differ" not in out
    assert "probability of 80 %" not in out


def test_a_recipe_stands_for_its_experiments(run):
    assert run("laptop", networks=["unet"], score="nsd").startswith("UNet: laptop is better than HEAD by 0.0")


def test_sides_that_cannot_be_compared_are_refused(run):
    for arguments, words in (
        (("other",), "were scored on different test images \\(30 and 40\\)"),
        (("large",), "large has image_size 128, HEAD has 64, and dice is scored at that size"),
        (("*-1",), "names experiments that differ in lr, unet.width, not in the seed alone"),
        (("old", "old", (), "nsd"), "old has no nsd of each image"),
        (("gone",), "gone is neither a commit"),
        (("wide-1", "HEAD", ("vgg",)), "There is no network vgg"),
        (("wide-1", "HEAD", (), "f1"), "There is no score f1"),
    ):
        with pytest.raises(PetsegError, match=words):
            run(*arguments)
    assert "large is better" in run("large", score="dice_original") or "no difference" in run("large", score="nsd")


def test_the_page_has_every_figure_and_needs_nothing_else(run, tmp_path):
    run("wide-1", page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2 * len(NETWORKS)  # means, and differences
    assert "UNet: wide-1 is better than HEAD by 0.0" in page
    assert "Bengal" in page
    assert not any(word in page for word in ("http:", "https:", "<script"))


def test_the_page_has_a_dot_for_every_seed(run, tmp_path):
    run("wide-*", "slow-1", ("unet",), page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('<circle class="seed"') == 4
    assert page.count("wide-*, UNet") == page.count("slow-1, UNet") == 1
    places = [float(x) for x in re.findall(r'class="seed" cx="([\d.]+)"', page)]
    assert min(places[:3]) > places[3]  # wide is better with every seed
