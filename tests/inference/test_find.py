"""Which photographs files, folders and patterns stand for, and the names of their results."""

import os

import pytest

from petseg.inference.find import find


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(*arguments, recursive=False):
    return [(str(job.path), str(job.name)) for job in find(arguments, recursive)]


def test_a_folder_stands_for_its_photographs(folder):
    make(folder, "my pets/b.JPG", "my pets/a.heic", "my pets/notes.txt", "my pets/.hidden.jpg", "my pets/sub/c.png")
    make(folder, "my pets/.thumbnails/d.jpg", "my pets/猫.webp", "my pets/folder.png/e.txt")
    top = [("my pets/a.heic", "a"), ("my pets/b.JPG", "b"), ("my pets/猫.webp", "猫")]
    assert found("my pets") == top
    assert found("my pets", recursive=True) == [*top, ("my pets/sub/c.png", "sub/c")]


def test_what_petseg_wrote_is_left_out_of_folders_and_patterns_but_can_be_named(folder):
    results = ["a_mask.png", "a_cutout.webp", "a_cutout.jpg", "a_overlay.jpg", "a_probability.png"]
    make(folder, "a.jpg", "mask.png", *results)
    assert found(".") == [("a.jpg", "a"), ("mask.png", "mask")]
    assert found("*.jpg") == [("a.jpg", "a")]
    assert found("a_mask.png") == [("a_mask.png", "a_mask")]


def test_patterns_that_the_shell_did_not_expand(folder):
    make(folder, "b2.jpg", "b1.jpg", "b.txt", "sub/c.jpg", "[d].jpg")
    assert found("b*") == [("b1.jpg", "b1"), ("b2.jpg", "b2")]
    assert found("**/c.jpg") == [("sub/c.jpg", "c")]
    assert found("s*") == [("sub/c.jpg", "c")]
    assert found("[d].jpg") == [("[d].jpg", "[d]")]
    assert found("x*.jpg") == []


def test_each_photograph_is_found_once_in_the_order_of_the_arguments(folder):
    make(folder, "p/b.jpg", "p/a.jpg")
    os.symlink("b.jpg", folder / "p/link.jpg")
    assert found("p/b.jpg", "p", "./p/../p", "p/*.jpg") == [("p/b.jpg", "b"), ("p/a.jpg", "a")]


def test_a_named_file_need_not_exist_nor_have_a_known_suffix(folder):
    make(folder, "scan", "scan.dat")
    assert found("scan", "scan.dat", "no.jpg") == [("scan", "scan"), ("scan.dat", "scan.dat"), ("no.jpg", "no")]


def test_photographs_that_differ_in_the_suffix_have_results_of_different_names(folder):
    make(folder, "a.jpg", "a.png", "b.jpg", "b.txt", "sub/a.jpg")
    assert [name for _, name in found(".", recursive=True)] == ["a.jpg", "a.png", "b", "sub/a"]
    assert found("a.jpg") == [("a.jpg", "a.jpg")]  # also if the other one is predicted another time


def test_results_of_several_folders_are_in_subfolders(folder):
    make(folder, "x/a.jpg", "y/z/a.jpg")
    assert found("x", "y/z") == [("x/a.jpg", "x/a"), ("y/z/a.jpg", "z/a")]
    assert found("x", "./x") == [("x/a.jpg", "a")]


def test_a_folder_of_folders_has_no_photographs_unless_they_are_included(folder):
    make(folder, "x/1/a.jpg", "x/2/a.jpg")
    assert found("x") == []
    assert [name for _, name in found("x", recursive=True)] == ["1/a", "2/a"]
