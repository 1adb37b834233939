import errno

import pytest

from petseg import errors, files


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
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_stage_ends_with_a_sentence_and_a_status(error, status, words, capsys):
    with pytest.raises(SystemExit) as stop:
        errors.run(raiser(error))
    assert stop.value.code == status
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


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
