"""One repository for all tests of the pipeline: each leaves it as the last commit has it."""

import pytest

from support.project import Project, copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes that test side by side, one takes all tests of the pipeline, since they share a project."""
    for item in items:
        if "pipeline" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("pipeline"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of this project with tiny settings and its first results, committed."""
    project = copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site") / "site")
    project.commit("as it is")
    project.dvc("repro", PETSEG_TEST_IMPORTS=str(project.imports))
    project.commit("first results")
    return project
