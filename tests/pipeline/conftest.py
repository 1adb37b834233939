"""One repository for all tests of the pipeline: each leaves it as the last commit has it."""

import pytest

from project import Project, copy


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of this project with tiny settings and its first results, committed."""
    project = copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site") / "site")
    project.commit("as it is")
    project.dvc("repro", PETSEG_TEST_IMPORTS=str(project.imports))
    project.commit("first results")
    return project
