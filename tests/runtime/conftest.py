import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from petseg.runtime import download
from support.mirror import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running mirror; retries wait 10 ms."""
    monkeypatch.setattr(download, "WAITS", (0.01, 0.01, 0.01))
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "images.tar.gz"
