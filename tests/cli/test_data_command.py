"""`facetell data`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from facetell.cli.data import data
from facetell.errors import DataError

TOON = "toon:characters=3,per_emotion=2"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def _json_lines(command: str) -> list[str]:
    return run(command, "--json").splitlines()


def test_list_names_forms_and_terms() -> None:
    out = run("list")
    assert "fer2013.csv" in out
    assert "no redistribution" in out


def test_list_as_json_is_one_object_per_line() -> None:
    forms = [json.loads(line)["form"] for line in _json_lines("list")]
    assert forms[0] == "toon"


def test_check_counts_sides_and_classes() -> None:
    lines = run("check", TOON).splitlines()
    assert lines[0].startswith("toon: 42 faces from toon:")
    assert "train             14         2" in "\n".join(lines)


def test_check_as_json_is_the_fingerprint() -> None:
    found = json.loads(run("check", TOON, "--json"))
    assert found["fingerprint"]["count"] == 42
    assert "copies" not in found


def test_check_counts_subjects_where_they_are_known(tmp_path: Path) -> None:
    assert json.loads(run("check", TOON, "--json"))["subjects"] == 3
    assert "subjects: 3" in run("check", TOON).splitlines()
    path = tmp_path / "faces.csv"
    path.write_text("label,pixels\nsad,1 2 3 4\nhappy,5 6 7 8\n")
    assert json.loads(run("check", str(path), "--json"))["subjects"] == 0
    assert "subjects:" not in run("check", str(path))


def test_list_names_every_dataset_and_where_to_get_it() -> None:
    listed = {form["form"]: form["where"] for form in map(json.loads, _json_lines("list"))}
    for name, where in (
        ("ferplus", "github.com/microsoft/FERPlus"),
        ("ferg", "on request"),
        ("ck+", "on request"),
        ("ck+48", "terms are those of CK+"),
        ("jaffe", "on request"),
        ("kdef", "after registration"),
    ):
        assert where in listed[name]


def test_check_counts_copies_when_asked() -> None:
    found = json.loads(run("check", TOON, "--json", "--copies"))
    assert found["copies"]["images"] >= 0
    assert "near-copies:" in run("check", TOON, "--copies")


def test_check_takes_a_label_order(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    path.write_text("label,pixels\n0,1 2 3 4\n1,5 6 7 8\n")
    found = json.loads(run("check", str(path), "--label-order", "sad, happy", "--json"))
    classes = found["fingerprint"]["classes"]["none"]
    assert classes["sad"] == classes["happy"] == 1


def test_check_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        run("check", str(tmp_path / "absent"))
