"""The model card: its YAML block, its sections, its numbers, and what it says about each source of data."""

import json
import re

import pandas as pd
import pytest
import yaml

from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.evaluation.statistics import bootstrap_interval
from petseg.report import model_card
from petseg.report.inputs import load

LABELS = {"unet": "UNet", "resnet34_unet": "ResNet34-UNet", "slim": "Slim &amp; Co"}  # as in Markdown
SECTIONS = [  # of the Hub's template
    "## Model Details",
    "## Uses",
    "## Bias, Risks, and Limitations",
    "## How to Get Started with the Model",
    "## Training Details",
    "## Evaluation",
    "## Environmental Impact",
    "## Technical Specifications",
    "## Citation",
    "## Model Card Contact",
]
OWN = (("rex", "unknown"),)
UNKNOWN = (("unknown", "unknown"),)


@pytest.fixture
def card(project):
    """`card(overrides, **of_project)` makes a project and returns its folder and model card."""

    def make(overrides=(), **of_project):
        root, values = project(**of_project)
        if overrides:
            values = params.load(root / "params.yaml", overrides=overrides)
        return root, model_card.write(load(values, root=root))

    return make


def block_of(text: str) -> dict:
    """The YAML block, as the Hub finds it."""
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("\n---\n")[0])


def tables_of(text: str, heading: str) -> list[dict[str, list[str]]]:
    """The tables between a heading and the next one: the header under "", and each row under its first cell."""
    [section] = re.findall(rf"(?ms)^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text)
    tables = []
    for block in re.findall(r"(?m)(?:^\|.*\n)+", section):
        header, line, *rows = [row.strip("| ").split(" | ") for row in block.splitlines()]
        assert re.fullmatch(r"---(\|---:?)+", *line)
        tables.append({"": header} | {row[0]: row[1:] for row in rows})
    return tables


def edit_json(path, name=None, **values):
    content = json.loads(path.read_text(encoding="utf-8"))
    (content[name] if name else content).update(values)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_the_yaml_block_has_each_score_of_each_network(card, networks):
    root, text = card(networks=networks)
    block = block_of(text)
    assert (block["library_name"], block["pipeline_tag"], block["license"]) == ("petseg", "image-segmentation", "mit")
    scores = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))
    for entry, name in zip(block["model-index"], NETWORKS, strict=True):
        assert entry["name"] == NETWORKS[name].label
        [result] = entry["results"]
        assert result["task"]["type"] == "image-segmentation"
        assert result["dataset"]["split"] == "test"
        assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
            key: scores[name][key] for key in block["metrics"]
        }
        interval = f"{scores[name]['dice_low']:.4f} to {scores[name]['dice_high']:.4f}"
        assert result["metrics"][0]["name"] == f"Dice of {entry['name']} (95% interval {interval})"
        assert all(entry["name"] in metric["name"] for metric in result["metrics"])


def test_the_hub_library_reads_the_card(card):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    root, text = card()
    scores = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))
    data = huggingface_hub.ModelCard(text).data
    found = [(result.metric_type, result.metric_value) for result in data.eval_results]
    assert found == [(key, scores[name][key]) for name in NETWORKS for key in data.metrics]


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_each_number_is_in_its_row_and_column(card, networks):
    root, text = card(networks=networks)
    labels = [LABELS[name] for name in NETWORKS]
    scores = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))
    [results] = tables_of(text, "Results")
    assert results[""] == labels
    for label, key in (("Dice", "dice"), ("IoU", "iou"), ("Dice at the original image size", "dice_original")):
        assert results[label] == [f"{scores[name][key]:.4f}" for name in NETWORKS]
    assert results["Dice, 95% confidence interval"] == [
        f"{scores[name]['dice_low']:.4f} to {scores[name]['dice_high']:.4f}" for name in NETWORKS
    ]
    assert not results.keys() & {"Temperature", "Parameters", "Training time, h:mm:ss"}
    [temperatures] = tables_of(text, "Calibration")
    assert temperatures == {"": labels, "Temperature": ["1.5000", "1.6250", "1.7500"][:networks]}
    [runs] = tables_of(text, "Speeds, Sizes, Times")
    assert runs["Parameters"] == ["1,942,289", "1,942,290", "1,942,291"][:networks]
    assert runs["Size of the weights"] == ["about 7.8 MB"] * networks
    assert runs["Weights file"] == [f"models/{name}.safetensors".replace("_", r"\_") for name in NETWORKS]
    assert runs["Selected epoch"] == ["6", "5", "4"][:networks]
    [machines] = tables_of(text, "Compute Infrastructure")
    assert machines["Device"] == [f"device {place}" for place in range(networks)]


def test_parameters_are_those_of_each_network(project):
    root, values = project()
    values = values.model_copy(update={"unet": values.network("unet").model_copy(update={"lr": 0.125, "width": 32})})
    text = model_card.write(load(values, root=root))
    [settings] = tables_of(text, "Training Hyperparameters")
    [architecture] = tables_of(text, "Model Architecture and Objective")
    assert settings["`lr`"] == ["0.125", str(values.lr)]
    assert architecture["`width`"] == ["32", str(values.network("resnet34_unet").width)]
    assert architecture["`pool`"] == ["–", "true"]
    used = {key for name in NETWORKS for key in values.training(name).flat()} - {"network", "start"}
    assert {f"`{key}`" for key in used} == (settings.keys() | architecture.keys()) - {""}


def test_scores_by_species_and_breed_have_intervals(card):
    root, text = card(["evaluate.bootstrap=500"])
    test = pd.read_csv(root / "plots/test/scores.csv")

    def cells(rows):
        intervals = [(test[name][rows], bootstrap_interval(test[name][rows].to_numpy(), 500)) for name in NETWORKS]
        return [
            f"{values.mean():.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")
            for values, interval in intervals
        ]

    [species], [breeds] = tables_of(text, "Dice by Species"), tables_of(text, "Dice by Breed")
    assert "[" in cells(test["species"] == "cat")[0]
    assert "[" not in cells(test["breed"] == "great_pyrenees")[0]  # three images
    assert species["cat"] == ["2", "6", *cells(test["species"] == "cat")]
    assert species["dog"] == ["0", "6", *cells(test["species"] == "dog")]
    rows = dict(re.findall(r"(?m)^\| dog \| (.+?) \| (.+) \|$", text))
    assert rows["great pyrenees"].split(" | ") == ["0", "3", *cells(test["breed"] == "great_pyrenees")]
    assert breeds[""][:2] == ["Species", "Breed"]


def test_a_breed_without_test_images_and_one_with_a_single_image(project):
    root, values = project(count=3)
    splits = pd.read_csv(root / "data/splits.csv")
    splits.loc[0, ["breed", "species"]] = "pug", "dog"  # in the train split
    splits.loc[1, ["breed", "species"]] = "Bengal", "cat"
    splits.to_csv(root / "data/splits.csv", index=False)
    test = pd.read_csv(root / "plots/test/scores.csv").set_index("breed")
    text = model_card.write(load(values, root=root))
    assert "| dog | pug | 1 | 0 | – | – |" in text
    single = " | ".join(f"{test.loc['beagle', name]:.4f}" for name in NETWORKS)
    assert f"| dog | beagle | 0 | 1 | {single} |" in text


@pytest.mark.parametrize(
    ("overrides", "there", "absent"),
    [
        (["data.source=synthetic"], ["never seen a photograph", "seed` 2012"], ["CC BY-SA", "Fill in: the license"]),
        (
            ["data.source=oxford"],
            ["license: cc-by-sa-4.0", "datasets:\n- timm/", "doi = {10.1109/CVPR", "`5c4f3ee8e5d25", "`95a8c909bbe2e"],
            ["never seen", "rendered", "custom"],
        ),
        (
            ["data.source=folder"],
            [
                "license: unknown",
                "# Fill in: the license",
                "**Fill in:** where the images come from",
                "custom data set",
            ],
            ["CC BY-SA", "rendered", "Oxford", "datasets:\n", "cats", "own/"],
        ),
    ],
    ids=["synthetic", "oxford", "folder"],
)
def test_the_text_is_that_of_the_source(card, overrides, there, absent):
    _, text = card(overrides)
    for words in there:
        assert words in text
    for words in absent:
        assert words not in text


@pytest.mark.parametrize("source", ["synthetic", "oxford", "folder"])
@pytest.mark.parametrize("networks", [1, 2])
def test_every_section_of_the_template_is_there_and_none_is_empty(card, source, networks, monkeypatch):
    if networks == 1:
        monkeypatch.delitem(NETWORKS, "resnet34_unet")
    _, text = card([f"data.source={source}"])
    body = text.split("\n---\n", 1)[1]
    outside = re.sub(r"(?ms)^```.*?^```$", "code", body)
    assert re.findall(r"(?m)^## .*", outside) == SECTIONS
    headings = list(re.finditer(r"(?m)^(#+) .*\n+", outside))
    for this, following in zip(headings, [*headings[1:], None], strict=True):
        content = outside[this.end() : following.start() if following else None].strip()
        assert content or (following and len(following[1]) > len(this[1])), this[0]
    assert "More Information Needed" not in text
    assert "\n\n\n" not in text
    assert not re.search(r"(?m)[ \t]+$|^ ", outside)


@pytest.mark.parametrize("breeds", [OWN, UNKNOWN], ids=["one_breed", "unknown"])
@pytest.mark.parametrize("images", [1, 3])
def test_few_images_of_one_breed(card, breeds, images):
    _, text = card(["data.source=folder"], count=images, breeds=breeds, epochs=1)
    assert "not divided into species or breeds" in text
    assert "#### Dice by" not in text
    assert "nan" not in text.lower()


def test_the_code_loads_the_network_with_the_best_validation_dice(project):
    root, values = project()
    for better, dice in (("unet", 0.9), ("resnet34_unet", 0.1)):
        edit_json(root / "metrics/train_resnet34_unet.json", "resnet34_unet", valid_dice=1 - dice)
        edit_json(root / "metrics/train_unet.json", "unet", valid_dice=dice)
        text = model_card.write(load(values, root=root))
        assert f'model = petseg.load("models/{better}.safetensors")' in text


def test_initial_weights_commit_and_data_are_told(project):
    root, values = project()
    before = model_card.write(load(values, root=root))
    assert "Trained from scratch on" in before
    assert "**Initial weights:** random. No pretrained weights" in before
    assert f"git commit {'c0ffee' * 6}c0ff.\n" in before
    assert "0bcdef01" * 8 in before
    edit_json(root / "models/unet.run.json", start_sha256="5eed" * 16, commit="abc-dirty")
    after = model_card.write(load(values, root=root))
    assert "Trained on" in after
    assert "**Initial weights:** SHA-256 5eed5eed… (UNet), random (ResNet34-UNet)." in after
    assert "abc-dirty (UNet), " in after
    assert "Dirty: files differed" in after
    assert "Dirty" not in before


def test_names_from_the_data_are_escaped(card):
    _, text = card(count=4, breeds=(("a|b", "<i>cat"), ("*c*_`d`", "[dog](x)")))
    assert r"| &lt;i&gt;cat | a\|b | 1 | 2 |" in text
    assert r"| \[dog\](x) | \*c\* \`d\` |" in text


def test_equal_inputs_give_equal_bytes(project):
    root, values = project()
    assert model_card.write(load(values, root=root)) == model_card.write(load(values, root=root))


@pytest.mark.parametrize(("parameters", "size"), [(877, "0.0035"), (31_037_633, "120"), (496_000_000, "2,000")])
def test_the_size_of_the_weights_has_two_digits(project, parameters, size):
    root, values = project()
    edit_json(root / "metrics/train_unet.json", "unet", parameters=parameters)
    [runs] = tables_of(model_card.write(load(values, root=root)), "Speeds, Sizes, Times")
    assert runs["Size of the weights"][0] == f"about {size} MB"
