import csv
import json

import pytest
from click.testing import CliRunner

from facetell.cli import _group
from facetell.errors import InputError
from facetell.evaluate.robustness import Robustness
from judging import Corner, small_dataset

FEW = ("--robustness", "--robustness-faces", "7")


@pytest.fixture
def loaded(monkeypatch):
    """Models that read the first pixel in place of the loader and the dataset; their names."""
    calls = []

    def load(name, *, threads=None, flip=None):
        calls.append(name)
        return Corner(name, answer=3 if name == "constant" else None)

    monkeypatch.setattr("facetell.runtime.session.load", load)
    monkeypatch.setattr("facetell.evaluate.robustness.bundled_reference", lambda: None)
    monkeypatch.setattr(
        "facetell.datasets.open_dataset", lambda path, label_order: small_dataset(140)
    )
    return calls


def run(*arguments):
    words = ["evaluate", "corner", "--data", "x", *map(str, arguments)]
    return CliRunner().invoke(_group, words, catch_exceptions=True)


def test_the_table_follows_and_a_missing_reference_is_told(loaded):
    result = run(*FEW)

    assert result.exit_code == 0, result.exception
    assert "\n\nrobustness  7 of 35 faces, seed 0" in result.stdout
    assert "no reference" in result.stdout
    assert "Note: No mean corruption error: there is no reference" in result.stderr


def test_a_written_result_serves_as_reference(loaded, tmp_path):
    errors, cells = tmp_path / "errors.json", tmp_path / "cells.csv"

    first = run(*FEW, "--robustness-out", errors)
    second = run(*FEW, "--reference", errors, "--robustness-out", cells, "--json")

    assert f"Robustness: {errors}" in first.stderr
    found = Robustness.from_dict(json.loads(second.stdout)["robustness"])
    assert found.mce_all.value == pytest.approx(100)
    with cells.open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 141


def test_a_model_serves_as_reference_and_is_judged_on_the_same_faces(loaded):
    found = json.loads(run(*FEW, "--reference", "constant", "--json").stdout)["robustness"]

    assert loaded == ["constant", "corner"]
    assert (found["reference"]["model"], found["reference"]["faces"]) == ("constant", 7)
    assert 0 < found["mce_standard"]["value"] < 100


def test_without_the_option_nothing_of_it_is_there(loaded):
    result = run("--json")

    assert "robustness" not in json.loads(result.stdout)


@pytest.mark.parametrize("option", ["--robustness-faces=5", "--reference=x", "--robustness-out=x"])
def test_what_belongs_to_robustness_is_a_misuse_without_it(loaded, option):
    result = run(option)

    assert result.exit_code == 2
    assert f"{option.partition('=')[0]} goes with --robustness, which is missing" in result.stderr
    assert loaded == []


def test_another_ending_and_a_file_that_is_there_are_told_before_any_work(loaded, tmp_path):
    path = tmp_path / "there.csv"
    path.write_text("mine")

    other = run(*FEW, "--robustness-out", "x.txt")
    there = run(*FEW, "--robustness-out", path)

    assert other.exit_code == 2
    assert "ends in .csv or .json, got x.txt" in other.stderr
    assert isinstance(there.exception, InputError)
    assert path.read_text() == "mine"
    assert loaded == []


@pytest.mark.parametrize(("faces", "pictures"), [("--faces", True), ("--no-faces", False)])
def test_the_report_has_the_section_and_one_face_only_where_faces_are_wanted(
    loaded, tmp_path, faces, pictures
):
    page = tmp_path / "report.html"

    result = run(*FEW, "--report", page, faces)

    assert result.exit_code == 0, result.exception
    text = page.read_text(encoding="utf-8")
    assert "How much it keeps on worse faces" in text
    assert text.count("One face under ") == (29 if pictures else 0)
