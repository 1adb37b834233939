import errno
import os
import subprocess

import pytest

from petseg.runtime import errors, files


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "folder" / "x.json"
    files.write_json(target, {"b": 1, "a": "é"})
    assert target.read_text() == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(target, {"dice": float("nan")})
    with pytest.raises(RuntimeError), files.atomic_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text().startswith('{\n  "b"')
    assert [each.name for each in target.parent.iterdir()] == ["x.json"]


def test_a_folder_replaces_the_old_one_or_leaves_it_unchanged(tmp_path):
    target = tmp_path / "out"
    for text in ("first", "second"):
        with files.atomic_folder(target) as part:
            (part / text).write_text(text)
    assert [each.name for each in target.iterdir()] == ["second"]
    (tmp_path / "ordinary").mkdir()
    assert target.stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    (tmp_path / "ordinary").rmdir()
    with pytest.raises(RuntimeError), files.atomic_folder(target) as part:
        (part / "third").write_text("half")
        raise RuntimeError
    assert [each.name for each in target.iterdir()] == ["second"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_leftovers_of_killed_processes_are_removed_and_no_others(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    alive = os.getppid()
    others = {".x.abc.part", f".xy.{dead.pid}.part", f".x.{alive}.part", f".out.{alive}.part", f".out.{alive}.old"}
    for name in {f".x.{dead.pid}.part", f".x.{os.getpid()}.part", *others}:
        (tmp_path / name).write_text("half")
    for name in (f".out.{dead.pid}.part", f".out.{dead.pid}.old", f".out.{os.getpid()}.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("half")
    files.write_text(tmp_path / "x", "whole")
    with files.atomic_folder(tmp_path / "out"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"x", "out", *others}
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("interrupted_at", [0, 1])
def test_an_interrupt_between_the_two_renames_leaves_a_complete_folder(tmp_path, monkeypatch, interrupted_at):
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


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "x"
    target.write_text("old")
    with pytest.raises(errors.PetsegError, match=r"disk is full: .*x could not"), files.atomic_file(target) as part:
        part.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(errors.PetsegError, match="disk is full"), files.atomic_folder(tmp_path / "f"):
        raise OSError(errno.EDQUOT, "Quota exceeded")
    assert target.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
