"""Adding a network takes the three steps of CONTRIBUTING.md: this test follows them to the letter."""

import json
import re

from support.paths import ROOT
from support.project import STAGES, Project, metrics, ran

# "Register it": before this comes the class of its section; the entry is the last one of the registry.
REGISTRY = "\n\n@dataclass(frozen=True)\nclass Network:"


def test_a_third_network_is_trained_scored_and_reported(project):
    module, entry, section, stages = code_blocks()
    (project.folder / "src/petseg/models/tiny.py").write_text(module)
    register(project, entry)
    with open(project.folder / "params.yaml", "a") as file:
        file.write(f"\n{section}")
    add_to_pipeline(project, stages)

    # The other networks are trained again, since every stage depends on src/petseg/config, which has the registry.
    assert ran(project.dvc("repro")) == [*STAGES[:-2], "train_tiny", *STAGES[-2:]]
    assert set(metrics(project)) == {"unet", "resnet34_unet", "tiny"}
    page = (project.folder / "report/index.html").read_text()
    [row] = re.findall(r'<th scope="row">Dice</th>(.*)</tr>', page)
    scores = {name: f"{network['dice']:.4f}" for name, network in metrics(project).items()}
    assert re.findall(r"<td>([\d.]+)</td>", row) == [scores[name] for name in ("unet", "resnet34_unet", "tiny")]
    assert len(set(scores.values())) == 3
    card = (project.folder / "report/MODEL_CARD.md").read_text()
    assert re.findall(r"(?m)^- name: (.*)", card) == ["UNet", "ResNet34-UNet", "Tiny"]
    project.dvc("plots", "show")
    plots = (project.folder / "dvc_plots/index.html").read_text()
    assert "Learning rate of tiny" in plots
    for title in ("Dice over the epochs", "Loss over the epochs", "Test Dice with 95 % interval over images"):
        [plot] = [line for line in plots.splitlines() if json.dumps(title) in line]
        assert "tiny" in plot
    assert ran(project.dvc("repro")) == []


def code_blocks() -> list[str]:
    """The four blocks of code in CONTRIBUTING.md: module, entry of the registry, section of params.yaml, dvc.yaml."""
    _, _, text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Adding a network")
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    return blocks


def register(project: Project, block: str) -> None:
    section_class, _, registry = block.partition("NETWORKS: ")
    [entry] = re.findall(r'^    "tiny": .*\n', registry, re.MULTILINE)
    name = "src/petseg/config/networks.py"
    project.edit(name, REGISTRY, f"\n\n{section_class.strip()}\n{REGISTRY}")
    text = (project.folder / name).read_text()
    assert text.endswith("\n}\n")
    (project.folder / name).write_text(text.removesuffix("}\n") + entry + "}\n")


def add_to_pipeline(project: Project, block: str) -> None:
    """Adds the stage before `evaluate`, and every other line for the network below that of UNet."""
    [stage] = re.findall(r"^  train_tiny:\n(?:    .*\n)+", block, re.MULTILINE)
    project.edit("dvc.yaml", "\n  evaluate:\n", f"\n{stage}\n  evaluate:\n")
    lines = [line for line in block.replace(stage, "").splitlines() if "tiny" in line]
    path, result = project.folder / "dvc.yaml", []
    for line in path.read_text().splitlines():
        result.append(line)
        result += [new for new in dict.fromkeys(lines) if new.replace("tiny", "unet") == line]
    assert set(lines) <= set(result)
    path.write_text("\n".join(result) + "\n")
