"""The parameters and scores of a commit or experiment, from the small files that git holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from typing import TYPE_CHECKING, Any

import yaml

from petseg.config.networks import NETWORKS
from petseg.config.overrides import FastLoader, flatten, parse
from petseg.experiments import revisions
from petseg.experiments.revisions import Revision
from petseg.runtime.errors import PetsegError

if TYPE_CHECKING:
    import pandas as pd

TEST, SCORES, PARAMS, LOCK = "metrics/test.json", "plots/test/scores.csv", "params.yaml", "dvc.lock"


@dataclass(frozen=True)
class Result:
    """What one revision holds. Each property reads its file when it is first used, unless `texts` has it already."""

    revision: Revision
    texts: Mapping[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def params(self) -> dict[str, Any]:
        """Every parameter under its dotted key, such as `unet.width`; lists are whole."""
        text = self._text(PARAMS)
        try:
            return flatten(yaml.load(text, Loader=FastLoader))
        except (yaml.YAMLError, ValueError, AttributeError):
            return flatten(parse(text, f"{self.revision.name}:{PARAMS}").values)  # says in a sentence what is wrong

    @cached_property
    def test(self) -> dict[str, dict[str, float]]:
        """metrics/test.json: the mean scores by network."""
        return json.loads(self._text(TEST))

    @cached_property
    def trained(self) -> dict[str, dict[str, float]]:
        """metrics/train_NAME.json of all networks: the best epoch and its scores, by network."""
        return {name: json.loads(self._text(f"metrics/train_{name}.json"))[name] for name in NETWORKS}

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """plots/test/scores.csv: one row per test image, with name, breed, species and the scores of each network."""
        import pandas as pd  # takes 0.4 s, which a table of experiments need not wait for

        return pd.read_csv(
            StringIO(self._text(SCORES)),
            dtype=dict.fromkeys(("name", "breed", "species"), "str"),
            keep_default_na=False,
            na_values=[""],
        )

    @cached_property
    def hashes(self) -> dict[str, str]:
        """MD5 of every input and output of every stage in dvc.lock, by path."""
        stages = (yaml.safe_load(self._text(LOCK)) or {}).get("stages", {})
        entries = [entry for stage in stages.values() for entry in (*stage.get("deps", ()), *stage.get("outs", ()))]
        return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}

    def _text(self, path: str) -> str:
        text = self.texts[path] if path in self.texts else revisions.read(self.revision.sha, path)
        if text is None:
            raise PetsegError(
                f"{self.revision.name} has no {path}; it was committed without results, run `dvc repro` there."
            )
        return text


def load(found: Sequence[Revision], paths: Sequence[str]) -> list[Result]:
    """Returns the results of many revisions, whose files `paths` are read by one git process."""
    texts = revisions.read_many([(each.sha, path) for each in found for path in paths])
    return [Result(each, {path: texts[each.sha, path] for path in paths}) for each in found]


def differences(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the keys whose values differ, with both values; a missing key counts as None."""
    keys = dict.fromkeys([*first, *second])
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}
