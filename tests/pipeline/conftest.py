"""A small project with its first results, made once for all tests of the pipeline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Project, copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives all tests that share a project to one worker of pytest-xdist, and those of other files to one each."""
    for item in items:
        if "pipeline" in item.path.parts:
            shared = "finished" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("pipeline" if shared else item.path.stem))


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
