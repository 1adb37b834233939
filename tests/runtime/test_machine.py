import io
import os

import pytest
import torch

from petseg.runtime import machine
from petseg.runtime.errors import PetsegError

VARIABLES = ("PETSEG_DEVICE", "PETSEG_WORKERS", "PETSEG_PROCESSES", "PETSEG_CHECKPOINT_SECONDS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("PETSEG_WORKERS", text) for text in ("0", "-1", "257", "many", "1.5")),
        *(("PETSEG_PROCESSES", text) for text in ("0", "65", "abc")),
        *(("PETSEG_CHECKPOINT_SECONDS", text) for text in ("-1", "soon", "1e9", "nan")),
        *(("PETSEG_DEVICE", text) for text in ("foo", "gpu", "meta", "cuda:", "cpu:1", "cuda:x")),
    ],
)
def test_an_invalid_environment_variable_is_an_error_even_if_unused(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(PetsegError, match=f"^{name} is '{text}'; set it to [^\n]*, or unset it.$"):
        machine.check_environment()


@pytest.mark.parametrize(("name", "cure"), [("missing", "create it"), ("file", "name a folder")])
def test_locks_in_a_folder_that_is_none_are_an_error_before_they_are_needed(monkeypatch, tmp_path, name, cure):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path / name))
    with pytest.raises(PetsegError, match=f"^PETSEG_LOCKS is '{tmp_path / name}', which is not a folder; {cure}, or"):
        machine.check_environment()


def test_valid_and_empty_environment_variables_pass(monkeypatch):
    machine.check_environment()
    for texts in (("", "", "", ""), ("cuda:7", "256", "64", "0"), ("cpu", "1", "1", "0.5"), ("cuda", "2", "2", "30")):
        for name, text in zip(VARIABLES, texts, strict=True):
            monkeypatch.setenv(name, text)
        machine.check_environment()


def test_workers_are_one_per_core_by_default(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 5)
    assert machine.workers() == 5
    monkeypatch.setenv("PETSEG_WORKERS", "7")
    assert machine.workers() == 7


@pytest.mark.parametrize(
    ("name", "rank", "device"),
    [
        ("", "0", "cuda:0"),
        ("cuda", "0", "cuda:0"),
        ("cuda:1", "0", "cuda:1"),
        ("cpu", "1", "cpu"),
        ("", "1", "cuda:1"),  # the second process of torchrun
    ],
)
def test_the_device_is_a_gpu_by_default(monkeypatch, name, rank, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("PETSEG_DEVICE", name)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert str(machine.device()) == device


def test_a_device_that_does_not_exist_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(PetsegError, match="There is no GPU for local rank 1, only 1 GPUs"):
        machine.device()
    monkeypatch.setenv("PETSEG_DEVICE", "cuda:1")
    with pytest.raises(PetsegError, match=r"PETSEG_DEVICE is 'cuda:1', but this machine has cpu, cuda, cuda:0;"):
        machine.device()


def test_the_description_names_processor_and_versions():
    facts = machine.describe(torch.device("cpu"))
    assert facts["device"] == "cpu"
    assert facts["device_name"]
    assert facts["torch"] == torch.__version__
    assert {"threads", "python", "numpy", "albumentations"} <= facts.keys()


def test_cores_follow_the_affinity_mask(monkeypatch):
    monkeypatch.setattr(machine, "_cpu_quota", lambda: float("inf"))
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert machine.cores() == len(allowed)


V2, V1 = "0::/a/b\n", "9:name=systemd:/\n4:cpu,cpuacct:/a/b\n2:cpuset:/\n"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        (V2, {"a/b/cpu.max": "200000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "150000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "10000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),  # the group above
        (V2, {"cpu.max": "400000 100000\n"}, 4),  # a container that sees its own group as the top
        (V2, {"a/b/cpu.max": "max 100000\n"}, 8),
        (V2, {"a/b/cpu.max": "3200000 100000\n"}, 8),
        (V2, {}, 8),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "250000\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 3),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 1),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 8),
        (None, {}, 8),
    ],
)
def test_cores_follow_the_cpu_quota_of_a_container(monkeypatch, tmp_path, groups, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if groups is not None:
        (tmp_path / "own").write_text(groups)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "core_numbers", lambda: list(range(8)))
    assert machine.cores() == cores


@pytest.mark.parametrize(
    ("text", "device", "gpus", "count"),
    [
        ("", "", 0, 1),
        ("3", "", 0, 3),
        ("", "", 4, 4),
        ("2", "", 4, 2),
        ("", "cuda:2", 4, 1),
        ("", "cpu", 4, 1),
        ("3", "cpu", 2, 3),
        ("5", "", 4, "PETSEG_PROCESSES is 5, but only 4 GPUs can be used; set it to 4 or less"),
    ],
)
def test_processes_are_one_per_gpu_by_default(monkeypatch, text, device, gpus, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("PETSEG_PROCESSES", text)
    monkeypatch.setenv("PETSEG_DEVICE", device)
    if isinstance(count, int):
        assert machine.processes() == count
    else:
        with pytest.raises(PetsegError, match=count):
            machine.processes()


@pytest.mark.parametrize("line", ["flags\t\t: fpu avx512_bf16", "Features\t: fpu avx512_bf16"])
def test_cpu_flags_are_those_of_x86_and_arm(monkeypatch, line):
    lines = f"processor\t: 0\n{line}\nbugs\t:\n"
    monkeypatch.setattr("builtins.open", lambda *args, **options: io.StringIO(lines))
    assert machine.cpu_flags() == {"fpu", "avx512_bf16"}
