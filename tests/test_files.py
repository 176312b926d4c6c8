"""Files that appear whole or not at all."""

import pytest

from facetell.files import write_atomically


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
