"""A small project with its first results, made once for all tests of the pipeline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Project, copy

SECOND = {"test_docs", "test_mistakes", "test_new_network", "test_own_data", "test_survival", "test_verify"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests that share `finished` to two workers of pytest-xdist, each of which makes it once."""
    for item in items:
        if "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("pipeline 2" if item.path.stem in SECOND else "pipeline 1"))


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of support/sitecustomize.py about the stages that made the results of `finished`."""
    return tmp_path_factory.mktemp("record")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, record: Path) -> Project:
    """A copy of this project with tiny settings, and its results, all committed. Tests must not change it."""
    project = copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site"))
    project.commit("no results")
    project.dvc("repro", PETSEG_TEST_RECORD=str(record))
    project.commit("results")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of `finished` that a test may change."""
    project = finished.copy(tmp_path / "project")
    yield project
    project.close()
