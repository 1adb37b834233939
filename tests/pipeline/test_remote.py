"""Machines that share data and results through a remote: a real SSH server on loopback, with keys of its own."""

import copy
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Project, metrics, ran

SSHD = shutil.which(
    "sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
)  # an absolute path, which sshd insists on
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
    """The name of the account that runs the tests, the only one that a server without root's rights lets in."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        pytest.skip(f"user {os.getuid()} has no account here, so no SSH server lets it in")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An SSH server that accepts one key: the address of an empty folder on it, and the key's file."""
    folder, user = tmp_path_factory.mktemp("ssh"), account()
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder, user=user))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's server locks its unprivileged half in here
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stderr=log
        )
    try:
        wait_until_it_answers(process, port, folder / "log")
        (folder / "store").mkdir()
        yield f"ssh://{user}@127.0.0.1:{port}{folder / 'store'}", folder / "client_key"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_it_answers(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                assert connection.recv(8) == b"SSH-2.0-"
                return
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail(f"the SSH server did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def machines(project: Project, server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two machines that share a git repository and a DVC remote: one that has pushed its results, and a fresh clone.

    Each has a home of its own, so that no key, agent or setting of the person who runs the tests takes part.
    """
    folder, (address, key) = tmp_path_factory.mktemp("machines"), server
    first, second = (at(project, folder / name) for name in ("first", "second"))
    shutil.copytree(project.folder, first.folder, ignore=shutil.ignore_patterns("tmp", "config.local"))
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


def at(project: Project, folder: Path) -> Project:
    """`project` as it is in another folder, on a machine of its own."""
    other = copy.copy(project)
    other.folder = folder
    other.env = {name: value for name, value in project.env.items() if not name.startswith("SSH_")}
    other.env["HOME"] = str(folder.with_suffix(".home"))
    Path(other.env["HOME"]).mkdir()
    return other


def outputs(project: Project) -> dict[str, bytes]:
    """What the networks' stages and `split` wrote and DVC keeps: bytes by path."""
    paths = [
        path for name in ("models", "data/packed") for path in (project.folder / name).rglob("*") if path.is_file()
    ]
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths}


def test_a_fresh_clone_pulls_everything_and_has_nothing_to_do(machines):
    first, second = machines
    assert not (second.folder / "models/unet.safetensors").exists()
    second.dvc("pull")
    assert {"models/unet.safetensors", "models/resnet34_unet.safetensors"} < set(outputs(second))
    assert outputs(second) == outputs(first)
    assert ran(second.dvc("repro")) == []
    assert "up to date" in second.dvc("status")
    assert "in sync" in second.dvc("status", "--cloud")
    assert second.git("status", "--porcelain") == ""


def test_without_the_key_the_server_lets_nobody_in(machines, server, tmp_path):
    _, second = machines
    stranger = at(second, tmp_path / "stranger")
    second.git("clone", "--quiet", str(second.folder), str(stranger.folder))
    own = tmp_path / "own_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own], check=True)
    stranger.dvc("remote", "modify", "--local", "lab", "keyfile", str(own))
    assert "Permission denied" in stranger.dvc("pull", status=1)
    assert not (stranger.folder / "models/unet.safetensors").exists()


def test_an_experiment_of_one_machine_is_applied_on_another_without_running_again(machines):
    first, second = machines
    assert ran(first.dvc("exp", "run", "--name", "resampled", "-S", "evaluate.bootstrap=200")) == ["evaluate", "report"]
    first.dvc("exp", "push", "origin", "resampled")
    second.dvc("exp", "pull", "origin", "resampled")
    second.dvc("exp", "apply", "resampled")
    assert metrics(second) == metrics(first)
    assert second.git("diff", "--stat", "params.yaml") != ""
    assert ran(second.dvc("repro")) == []
