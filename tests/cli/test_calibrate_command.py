import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facetell.cli import _group
from facetell.labels import EMOTIONS
from facetell.results import Reading
from facetell.runtime.session import load
from judging import small_dataset


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(
        "facetell.datasets.open_dataset", lambda path, label_order: small_dataset(1000)
    )


def run(*arguments):
    return CliRunner().invoke(_group, [str(argument) for argument in arguments])


@pytest.fixture
def calibrated(data, tiny_model_path, tmp_path):
    out = tmp_path / "mine.onnx"
    result = run("calibrate", tiny_model_path, "--data", "x", "--out", out, "--threads", 1)
    assert result.exit_code == 0, result.output
    return out, result


def test_a_calibrated_file_reads_as_before_and_knows_when_it_is_sure(calibrated, tiny_model_path):
    out, result = calibrated
    before, after = load(tiny_model_path, threads=1), load(out, threads=1)
    faces = small_dataset(30).faces()
    old, new = before.predict(faces), after.predict(faces)
    assert (old.margins == new.margins).all()
    assert (old.scores.argmax(axis=1) == new.scores.argmax(axis=1)).all()
    assert after.contract.certainty.faces == 250
    assert after.contract.certainty.data == (
        "small: validation side, 250 faces of different photographs"
    )
    assert result.stdout.startswith("sure or not, cross-fitted, 250 faces")
    assert result.stderr == f"wrote {out}, calibrated on {after.contract.certainty.data}\n"


def test_the_cross_fitted_numbers_are_there_as_json(data, tiny_model_path, tmp_path):
    out = tmp_path / "a.onnx"
    result = run("calibrate", tiny_model_path, "--data", "x", "--out", out, "--json", "--side",
                 "test")  # fmt: skip
    found = json.loads(result.stdout)
    assert (found["fitted"], found["n"]) == ("cross-fitted", 250)
    assert "test side" in load(out, threads=1).contract.certainty.data


def test_a_file_that_is_there_is_kept(calibrated, tiny_model_path):
    out, _ = calibrated
    again = run("calibrate", tiny_model_path, "--data", "x", "--out", out)
    assert again.exit_code == 1
    assert "is there already" in str(again.exception)


@pytest.fixture
def photo(tmp_path):
    """Shapes as coarse as a face's: noise gets a warning, and no answer with it."""
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    image = image.repeat(12, axis=0).repeat(12, axis=1)
    Image.fromarray(image).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_read_gives_sets_and_says_when_it_is_not_sure(calibrated, photo):
    base = ("read", photo, "--model", calibrated[0], "--detector", "none", "--threads", 1)
    plain = Reading.from_dict(json.loads(run(*base, "--json").stdout)).faces[0]
    assert (plain.set, plain.sure) == (None, None)
    asked = run(*base, "--json", "--sets", "0.9", "--abstain")
    face = Reading.from_dict(json.loads(asked.stdout)).faces[0]
    assert face.set[0] == face.label == plain.label
    assert set(face.set) <= set(EMOTIONS)
    assert face.sure in (True, False)
    words = run(*base, "--sets", "0.9", "--abstain", "1").stdout
    assert f"{' or '.join(face.set)}  sure" in words
    assert Reading.from_dict(
        json.loads(run(*base, "--json", "--abstain", "1").stdout)
    ).faces[0].sure  # fmt: skip
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    Image.fromarray(noise).save(photo)
    assert "  not sure  (doubtful)" in run(*base, "--sets", "0.9", "--abstain", "1").stdout


def test_a_file_that_was_not_calibrated_says_how_to(tiny_model_path, photo):
    result = run("read", photo, "--model", tiny_model_path, "--sets", "0.9")
    assert result.exit_code == 1
    assert "facetell calibrate" in str(result.exception)


@pytest.mark.parametrize("options", [("--sets", "0.3"), ("--sets", "1"), ("--abstain", "0")])
def test_levels_and_shares_out_of_range_are_misuse(photo, options):
    result = run("read", photo, *options)
    assert result.exit_code == 2
    assert "is not in the range" in result.stderr
