"""Groups of tests, which pytest-xdist gives to one worker."""

import os

import pytest


@pytest.mark.xdist_group("this")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="pytest-xdist does not run this")
def test_pytest_xdist_knows_the_groups(request):
    """pytest-xdist 3.8 ignores them with pytest 9.2, and each worker then makes what the tests share."""
    assert request.node.nodeid.endswith("@this")
