"""Every command looks at where it will write before it opens a model or data."""

import pytest
from click.testing import CliRunner

from facetell.cli import _group
from facetell.errors import InputError

FILES = {
    "evaluate report": ["evaluate", "compact", "--data", "nowhere.csv", "--report"],
    "evaluate predictions": ["evaluate", "compact", "--data", "nowhere.csv", "--predictions"],
    "audit report": ["audit", "nowhere.csv", "--report"],
    "audit groups": ["audit", "nowhere.csv", "--groups"],
    "calibrate": ["calibrate", "compact", "--data", "nowhere.csv", "--out"],
    "join": ["join", "compact", "plus", "--data", "nowhere.csv", "--out"],
    "export": ["export", "compact", "--precision", "int8", "--data", "nowhere.csv", "--out"],
    "reproduce": ["reproduce", "--data", "fer2013=nowhere.csv", "--report"],
}
FOLDERS = {
    "train": ["train", "quick", "--data", "nowhere.csv", "--out"],
    "refit": ["refit", ".", "--svm", "admm", "--out"],
    "reproduce": ["reproduce", "--data", "fer2013=x.csv", "--report", "r.html", "--out"],
}


def failure(arguments, target):
    if arguments[0] in ("reproduce", "train", "refit"):
        pytest.importorskip("lightning_fabric")
    error = CliRunner().invoke(_group, [*arguments, str(target)]).exception
    assert isinstance(error, InputError)
    return str(error)


@pytest.mark.parametrize("arguments", FILES.values(), ids=FILES)
def test_a_file_without_its_folder_is_told_before_the_work(arguments, tmp_path):
    (tmp_path / "file").touch()

    assert "none for out, found none. Create it first." in failure(arguments, tmp_path / "none/out")
    assert "to write into, got the file" in failure(arguments, tmp_path / "file/out")


@pytest.mark.parametrize("arguments", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_cannot_be_made_is_told_before_the_work(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()

    for target in ("file", "file/run"):
        assert "to write into, got the file" in failure(arguments, tmp_path / target)


@pytest.mark.parametrize(
    "arguments",
    [
        [*FILES["evaluate report"], "n.html", "--predictions"],
        [*FILES["audit report"], "n.html", "--groups"],
        [*FILES["reproduce"], "n.html", "--json"],
    ],
)
def test_two_outputs_in_one_file_are_told_before_the_work(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    message = failure(arguments, "./n.html")

    assert message == (
        "expected a file of its own for every output, got n.html twice. Choose another name for "
        "one of them."
    )
