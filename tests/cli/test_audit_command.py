"""`facetell audit`."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from copied import copied_dataset
from facetell.audit.summary import Audit
from facetell.cli import _group
from facetell.datasets.groups import read_groups
from facetell.errors import DataError, InputError


@pytest.fixture
def opened(monkeypatch):
    """Known data in place of a file; the paths that were asked for."""
    paths = []

    def open_dataset(path, label_order):
        paths.append(path)
        return copied_dataset()

    monkeypatch.setattr("facetell.datasets.open_dataset", open_dataset)
    return paths


def run(*arguments):
    return CliRunner().invoke(_group, ["audit", *map(str, arguments)], catch_exceptions=True)


def test_leaks_are_an_answer_and_no_failure(opened):
    result = run("x")

    assert result.exit_code == 0
    assert result.stdout.startswith("copied: 34 images")
    assert "FLAG: images of validation with a copy in train: 6 of 8" in result.stdout
    assert result.stderr == ""


def test_json_is_one_object_that_from_dict_reads(opened):
    result = run("x", "--json")

    assert result.stdout.count("\n") == 1
    assert Audit.from_dict(json.loads(result.stdout)).redundant == 6


def test_quick_and_without_the_canary(opened):
    found = json.loads(run("x", "--quick", "--no-canary", "--json").stdout)

    assert (found["method"], found["redundant"], found["lookups"]) == ("quick", 4, [])


def test_the_detector_is_asked_only_on_request(opened):
    without = json.loads(run("x", "--no-canary", "--json").stdout)
    asked = json.loads(
        run("x", "--no-canary", "--json", "--detector", "centerface", "--threads", 1).stdout
    )

    assert without["no_face_detector"] is None
    assert "face/33" in asked["no_face_detector"]  # an even image


def test_report_and_groups_are_written_and_named_on_stderr(opened, tmp_path):
    page, groups = tmp_path / "audit.html", tmp_path / "groups.csv"

    result = run("x", "--report", page, "--groups", groups)

    assert result.exit_code == 0
    assert f"Report: {page}" in result.stderr
    assert f"Groups: {groups}" in result.stderr
    assert "data:image/png" in page.read_text(encoding="utf-8")
    with groups.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 34
    assert rows[24] == {"id": "face/24", "group": "0", "side": "validation", "label": "angry"}
    assert len(set(read_groups(copied_dataset(), groups).tolist())) == 28


def test_a_report_without_faces_has_none(opened, tmp_path):
    page = tmp_path / "audit.html"

    run("x", "--report", page, "--no-faces")

    assert "data:image/png" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--report", "--groups"])
def test_files_are_kept_without_force_before_any_work_is_done(opened, tmp_path, option):
    path = tmp_path / "there"
    path.write_text("mine")

    result = run("x", option, path)

    assert isinstance(result.exception, InputError)
    assert "is there already" in str(result.exception)
    assert (path.read_text(), opened) == ("mine", [])
    assert run("x", option, path, "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_nothing_there_is_an_error(tmp_path):
    result = run(tmp_path / "absent")

    assert isinstance(result.exception, DataError)
    assert "found nothing there" in str(result.exception)
