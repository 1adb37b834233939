"""Two machines that share data and results through a DVC remote: an SSH server on this machine, with its own keys."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import HANG, Project, ran, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")  # sshd must be called by its full path
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""

pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="no SSH server is installed (Debian's package: openssh-server)"),
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("dvc_ssh") is None, reason="the Python package dvc-ssh is not installed"
    ),
]


def account() -> str:
    """The user that runs the tests; a server without root's rights can log in no other."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        pytest.skip(f"user {os.getuid()} has no account on this machine, so an SSH server refuses it")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An SSH server that accepts one key; yields the address of an empty folder on it, and the file of the key."""
    folder, user = tmp_path_factory.mktemp("ssh"), account()
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder, user=user))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(
            mode=0o755, exist_ok=True
        )  # where sshd, run by root, confines its process without rights
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stderr=log
        )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, (folder / "log").read_text)
        assert process.poll() is None, (folder / "log").read_text()
        (folder / "store").mkdir()
        yield f"ssh://{user}@127.0.0.1:{port}{folder / 'store'}", folder / "client_key"
    finally:
        process.terminate()
        process.wait(timeout=HANG)


def answers(port: int) -> bool:
    """Whether an SSH server accepts connections."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            return connection.recv(8) == b"SSH-2.0-"
    except ConnectionRefusedError:
        return False


@pytest.fixture(scope="module")
def machines(finished: Project, server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two machines that share a git repository and a DVC remote: one that has pushed its results, and a fresh clone."""
    folder, (address, key) = tmp_path_factory.mktemp("machines"), server
    first = with_own_home(finished.copy(folder / "first"))
    second = with_own_home(Project(folder / "second", folder / "site"))
    first.dvc("remote", "add", "--default", "lab", address)
    first.dvc("remote", "modify", "--local", "lab", "keyfile", str(key))
    first.commit("a remote")
    first.git("init", "--quiet", "--bare", "--initial-branch", "main", str(folder / "origin.git"))
    first.git("remote", "add", "origin", str(folder / "origin.git"))
    first.git("push", "--quiet", "origin", "main")
    first.dvc("push")
    first.git("clone", "--quiet", str(folder / "origin.git"), str(second.folder))
    second.dvc("remote", "modify", "--local", "lab", "keyfile", str(key))
    return first, second


def with_own_home(project: Project) -> Project:
    """Hides the keys, the agent and the settings of the person who runs the tests."""
    project.env = {name: value for name, value in project.env.items() if not name.startswith("SSH_")}
    project.env["HOME"] = str(project.folder.with_suffix(".home"))
    Path(project.env["HOME"]).mkdir()
    return project


def outputs(project: Project) -> dict[str, bytes]:
    """The outputs of `split` and of the train stages that DVC caches, by path."""
    folders = (project.folder / "models", project.folder / "data/packed")
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return project.read(*(str(path.relative_to(project.folder)) for path in paths))


def test_a_fresh_clone_pulls_everything_and_has_nothing_to_do(machines):
    first, second = machines
    assert not (second.folder / "models/unet.safetensors").exists()
    second.dvc("pull")
    assert {"models/unet.safetensors", "models/resnet34_unet.safetensors"} < set(outputs(second))
    assert outputs(second) == outputs(first)
    assert ran(second.dvc("repro")) == []
    assert "in sync" in second.dvc("status", "--cloud")
    assert second.git("status", "--porcelain") == ""
