import errno
import os
import signal
import subprocess
import sys

import pytest

from petseg.runtime import errors, files
from support.paths import ROOT


@pytest.fixture(autouse=True)
def handlers():
    """`run` leaves signals ignored, because the process ends; this process continues."""
    before = {number: signal.getsignal(number) for number in errors.STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raiser(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (errors.PetsegError("no such thing"), 1, "error: no such thing"),
        (errors.DataError("bad image"), 1, "error: bad image"),
        (errors.ParamsError("bad key"), 2, "error: bad key"),
        (OSError(errno.ENOSPC, "No space left", "data/raw"), 1, "disk is full: data/raw"),
        (OSError(errno.EACCES, "Permission denied", "data"), 1, "data cannot be read or written (Permission denied)"),
    ],
)
def test_a_stage_exits_with_a_message_and_a_status(error, status, words, capsys):
    with pytest.raises(SystemExit) as stop:
        errors.run(raiser(error))
    assert stop.value.code == status
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "write", "words"),
    [
        ("file", lambda path: files.write_text(path / "a.csv", ""), "is a file, but a folder is needed there"),
        ("file", lambda path: files.write_text(path / "train" / "a.csv", ""), "is a file, but a folder is needed"),
        ("file", lambda path: (path / "a.csv").read_text(), "is a file, but a folder is needed there; rename it"),
        ("folder", lambda path: files.write_text(path, ""), "is a folder, but a file is needed there; rename it"),
        ("folder", lambda path: path.read_text(), "is a folder, but a file is needed there; rename it"),
    ],
    ids=["write", "write-below", "read", "write-file", "read-file"],
)
def test_a_file_in_place_of_a_folder_is_one_sentence(tmp_path, capsys, kind, write, words):
    path = tmp_path / "plots"
    path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(SystemExit):
        errors.run(lambda: write(path))
    assert capsys.readouterr().err.startswith(f"error: {path} {words}")


@pytest.mark.parametrize("number", errors.STOPS)
def test_a_signal_removes_incomplete_files_and_exits_with_a_message(tmp_path, capsys, number):
    cleaned = []

    def main():
        with files.atomic_folder(tmp_path / "out") as part, files.atomic_file(tmp_path / "file") as file:
            (part / "half").write_text("half")
            file.write_text("half")
            try:
                os.kill(os.getpid(), number)
                raise AssertionError("the signal was ignored")
            except Exception as error:
                raise AssertionError("caught as an error") from error
            finally:
                os.kill(os.getpid(), number)  # a second signal does not interrupt the clean-up
                cleaned.append(number)

    with pytest.raises(SystemExit) as stop:
        errors.run(main)
    assert stop.value.code == 128 + number
    assert capsys.readouterr().err == f"error: stopped by {number.name}; run the same command again.\n"
    assert (list(tmp_path.iterdir()), cleaned) == ([], [number])


@pytest.mark.parametrize(("handler", "stops"), [(signal.SIG_DFL, "TERM INT HUP"), (signal.SIG_IGN, "TERM INT")])
def test_sighup_stops_a_process_unless_nohup_makes_it_ignored(handler, stops):
    code = "from petseg.runtime import errors; print(*(number.name.removeprefix('SIG') for number in errors.STOPS))"
    options = {"env": os.environ | {"PYTHONPATH": str(ROOT / "src")}, "capture_output": True, "text": True}
    options["preexec_fn"] = lambda: signal.signal(signal.SIGHUP, handler)
    assert subprocess.run([sys.executable, "-c", code], **options).stdout.strip() == stops


def test_a_stage_exits_with_its_status_when_stderr_is_closed(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as broken:
        monkeypatch.setattr("sys.stderr", broken)
        with pytest.raises(SystemExit) as stop:
            errors.run(raiser(errors.ParamsError("bad key")))
        monkeypatch.undo()
        with pytest.raises(BrokenPipeError):
            broken.close()
    assert stop.value.code == 2


def test_signals_are_ignored_once_a_stage_has_ended():
    errors.run(lambda: None)
    assert {signal.getsignal(number) for number in errors.STOPS} == {signal.SIG_IGN}


def test_one_of_several_processes_names_its_rank(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(SystemExit):
        errors.run(raiser(errors.PetsegError("no such thing")))
    assert capsys.readouterr().err == "error in rank 3: no such thing\n"


@pytest.mark.parametrize("bug", [ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "No such file", "data/raw")])
def test_a_bug_keeps_its_traceback(bug):
    with pytest.raises(type(bug)):
        errors.run(raiser(bug))
