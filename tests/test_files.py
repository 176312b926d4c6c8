"""Files that appear whole or not at all."""

import os

import pytest

from facetell.cli.options import check_targets
from facetell.errors import InputError
from facetell.files import check_folder, check_target, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_folders_on_the_way_are_made_and_text_is_utf8(tmp_path):
    write_atomically(tmp_path / "a/b.txt", "\u00e4")

    assert (tmp_path / "a/b.txt").read_bytes() == b"\xc3\xa4"


def test_a_file_that_can_be_written_passes_and_nothing_is_made(tmp_path):
    check_target(tmp_path / "new")
    check_folder(tmp_path / "a/b/c")
    check_targets(tmp_path / "new", None, folders=[tmp_path / "a", tmp_path / "a", None])

    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_told_before_it_is_made(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")

    with pytest.raises(InputError, match=r"expected a file to write, got the folder .*Name a file"):
        check_target(tmp_path, True)
    with pytest.raises(InputError, match=r"the folder .*none for x, found none\. Create it first"):
        check_target(tmp_path / "none/x")
    with pytest.raises(InputError, match=r"folder to write into, got the file .*file\. Choose"):
        check_target(file / "x")
    for folder in (file, file / "a/b"):
        with pytest.raises(InputError, match=r"folder to write into, got the file .*file\. Choose"):
            check_folder(folder)
    assert file.read_text() == "mine"


def test_a_folder_of_somebody_elses_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root

    for check in (check_target, check_folder):
        with pytest.raises(InputError, match=r"not yours to write\. Choose another place, or"):
            check(tmp_path / "x")


def test_two_outputs_in_one_file_are_told(tmp_path):
    (tmp_path / "link").symlink_to("n.html")

    for other in ("n.html", "a/../n.html", "link"):
        with pytest.raises(InputError, match=r"a file of its own for every output, got .* twice"):
            check_targets(tmp_path / "n.html", tmp_path / other, force=True)
    with pytest.raises(InputError, match="a file of its own for every output"):
        check_targets(tmp_path / "out", folders=[tmp_path / "out"])
