"""facetell evaluate --clips."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

pytest.importorskip("av")

from clipfolder_forms import FindsSquares, make_ravdess
from facetell.cli import _group
from facetell.errors import DataError
from facetell.evaluate.clips import ClipEvaluation
from facetell.faces import detect


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(detect, "CenterFace", FindsSquares)
    return make_ravdess(tmp_path / "clips")


def run(*arguments):
    return CliRunner().invoke(_group, ["evaluate", *map(str, arguments)], catch_exceptions=True)


def test_the_table_is_on_stdout_and_the_notes_are_not(folder, tiny_model_path):
    result = run(tiny_model_path, "--clips", folder)

    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("model  tiny\nclips  ravdess: 9 clips of 3 people, 72 frames")
    assert "steady labels minus mean of scores" in result.stdout
    assert "Note" not in result.stdout
    assert "Note: The clips show only 3 people" in result.stderr


def test_json_is_one_object_that_from_dict_reads(folder, tiny_model_path):
    result = run(tiny_model_path, "--clips", folder, "--json", "--side", "test", "--threads", 1)

    assert result.stdout.count("\n") == 1
    found = ClipEvaluation.from_dict(json.loads(result.stdout))
    assert (found.n, found.subjects, found.side) == (3, 1, "test")


def test_a_second_model_is_one_more_way(folder, tiny_model_path, make_model, tmp_path):
    other = make_model(tmp_path / "frames.onnx", memory=4, theta=False)
    found = json.loads(run(tiny_model_path, "--clips", folder, "--against", other, "--json").stdout)

    assert list(found["ways"])[-1] == "frames at the end"
    assert found["ways"]["frames at the end"]["against_mean"]["p_value"] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected --data or --clips, got neither"),
        (["--clips", "x", "--data", "y"], "--data does not go with --clips"),
        (["--clips", "x", "--report", "y"], "--report does not go with --clips"),
        (["--clips", "x", "--no-faces"], "--faces does not go with --clips"),
        (["--clips", "x", "--protocol", "clean"], "--protocol does not go with --clips"),
    ],
)
def test_options_that_do_not_go_together_are_misuse(options, message):
    result = run("compact", *options)

    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_without_clips_is_an_error(tmp_path, tiny_model_path):
    result = run(tiny_model_path, "--clips", tmp_path)

    assert isinstance(result.exception, DataError)
    assert "got an empty folder. Sort the clips into folders named angry" in str(result.exception)
