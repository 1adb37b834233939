import errno
import os
import signal
import subprocess

import pytest

from petseg.runtime import errors, files


@pytest.fixture(autouse=True)
def handlers():
    """`run` ends a process, so it leaves signals ignored; this process goes on."""
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
        (OSError(errno.EACCES, "Permission denied", "data"), 1, "data may not be read or written here"),
    ],
)
def test_a_stage_ends_with_a_sentence_and_a_status(error, status, words, capsys):
    with pytest.raises(SystemExit) as stop:
        errors.run(raiser(error))
    assert stop.value.code == status
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_removes_what_is_half_written_and_ends_with_a_sentence(tmp_path, capsys, number, status):
    def main():
        with files.atomic_folder(tmp_path / "out") as part, files.atomic_file(tmp_path / "file") as file:
            (part / "half").write_text("half")
            file.write_text("half")
            try:
                os.kill(os.getpid(), number)
                raise AssertionError("it goes on")
            except Exception as error:
                raise AssertionError("it is taken for an error") from error
            finally:
                os.kill(os.getpid(), number)  # the second of two quick ones does not stop the clean-up

    with pytest.raises(SystemExit) as stop:
        errors.run(main)
    assert stop.value.code == status
    assert capsys.readouterr().err == f"error: stopped by {number.name}; run the same command again.\n"
    assert list(tmp_path.iterdir()) == []
    os.kill(os.getpid(), number)  # the process is ending: too late to mean anything


def test_a_second_signal_a_while_later_stops_the_clean_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(errors.time, "monotonic", lambda: now[0])
    cleaned = []

    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            now[0] += 0.9
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append("a part")
            now[0] += 1.1
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append("all")

    with pytest.raises(SystemExit):
        errors.run(main)
    assert cleaned == ["a part"]


def test_a_stage_ends_with_its_status_where_nobody_reads_what_it_says(monkeypatch):
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


def test_one_of_several_processes_says_which(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(SystemExit):
        errors.run(raiser(errors.PetsegError("no such thing")))
    assert capsys.readouterr().err == "error in rank 3: no such thing\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        errors.run(raiser(ZeroDivisionError()))
    with pytest.raises(FileNotFoundError):
        errors.run(raiser(FileNotFoundError(errno.ENOENT, "No such file", "data/raw")))


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "folder" / "x.json"
    files.write_json(target, {"b": 1, "a": "é"})
    assert target.read_text() == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(RuntimeError), files.atomic_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text().startswith('{\n  "b"')
    assert [each.name for each in target.parent.iterdir()] == ["x.json"]


def test_a_folder_takes_the_place_of_the_old_one_or_leaves_it(tmp_path):
    target = tmp_path / "out"
    for text in ("first", "second"):
        with files.atomic_folder(target) as part:
            (part / text).write_text(text)
    assert [each.name for each in target.iterdir()] == ["second"]
    assert target.stat().st_mode & 0o055 == 0o055 & ~files._umask()
    with pytest.raises(RuntimeError), files.atomic_folder(target) as part:
        (part / "third").write_text("half")
        raise RuntimeError
    assert [each.name for each in target.iterdir()] == ["second"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    alive, others = os.getppid(), {f".xy.{dead.pid}.part", ".out.abc.part"}
    for name in (f".x.{dead.pid}.part", f".x.{alive}.part", *others):
        (tmp_path / name).write_text("half")
    for name in (f".out.ab_c.{dead.pid}.part", f".out.ab_c.{dead.pid}.old", f".out.ab_c.{alive}.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("half")
    files.write_text(tmp_path / "x", "whole")
    with files.atomic_folder(tmp_path / "out"):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"x", "out", f".x.{alive}.part", f".out.ab_c.{alive}.part", *others}


@pytest.mark.parametrize("interrupted_at", [0, 1])
def test_an_interrupt_between_the_two_moves_leaves_a_whole_folder(tmp_path, monkeypatch, interrupted_at):
    target = tmp_path / "out"
    target.mkdir()
    (target / "first").write_text("whole")
    moves, rename = [], type(target).rename

    def interrupted(self, goal):
        moves.append(goal)
        if len(moves) == interrupted_at + 1:
            raise KeyboardInterrupt
        return rename(self, goal)

    with pytest.raises(KeyboardInterrupt), files.atomic_folder(target) as part:
        (part / "second").write_text("whole")
        monkeypatch.setattr(type(target), "rename", interrupted)
    monkeypatch.undo()
    assert [each.name for each in target.iterdir()] == ["first"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_numbers_that_are_none_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"dice": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "x"
    target.write_text("old")
    with pytest.raises(errors.PetsegError, match=r"disk is full: .*x could not"), files.atomic_file(target) as part:
        part.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(errors.PetsegError, match="disk is full"), files.atomic_folder(tmp_path / "f"):
        raise OSError(errno.EDQUOT, "Quota exceeded")
    assert target.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
