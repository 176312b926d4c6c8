import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facetell.cli.read import read
from facetell.results import Reading


@pytest.fixture
def photos(tmp_path):
    for i in range(3):
        image = np.random.default_rng(i).integers(0, 256, (60, 50 + i, 3), np.uint8)
        (tmp_path / "in" / "deep").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / ("deep" if i else ".") / f"{i}.png")
    return tmp_path / "in"


@pytest.fixture
def run(tiny_model_path):
    def run_(*arguments: object):
        base = ["--model", str(tiny_model_path), "--threads", "1", "--detector", "none"]
        return CliRunner().invoke(read, [*base, *map(str, arguments)])

    return run_


def test_the_table_names_each_face_its_box_label_score_and_margin(run, photos):
    result = run(photos / "0.png")
    assert result.exit_code == 0
    head, columns, row = result.stdout.splitlines()
    assert head == f"{photos / '0.png'}  50 x 60 px, 1 face"
    assert columns.split() == ["face", "box", "label", "score", "margin"]
    number, *box, label, score, margin, warning = row.split()
    assert warning == "(doubtful)"  # noise
    assert (number, " ".join(box)) == ("1", "0,0 to 50,60")
    assert label.isalpha()
    assert 0 <= float(margin) <= float(score) <= 1


def test_json_is_one_reading_a_line_and_nothing_else(run, photos):
    result = run("--json", photos)
    assert result.exit_code == 0
    readings = [Reading.from_dict(json.loads(line)) for line in result.stdout.splitlines()]
    assert [reading.size_wh for reading in readings] == [(50, 60), (51, 60), (52, 60)]
    assert "reading 3 images with tiny" in result.stderr


def test_a_broken_file_is_one_line_the_others_are_read_and_the_status_is_1(run, photos):
    (photos / "1.png").write_bytes(b"no image")
    for flags in ([], ["--json"]):
        result = run(*flags, photos)
        assert result.exit_code == 1
        assert result.stdout.count("60") >= 3
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert len(errors) == 1
        assert str(photos / "1.png") in errors[0]
        assert "1 of 4 failed" in result.stderr


def test_no_face_is_an_answer(tiny_model_path, tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "black.png")
    arguments = ["--model", str(tiny_model_path), "--threads", "1", str(tmp_path / "black.png")]
    result = CliRunner().invoke(read, arguments)
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'black.png'}  200 x 100 px, no face\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'PHOTO|CLIP...'"),
        (["x.png", "--detector", "haar"], "'haar' is not one of"),
        (["x.png", "--threads", "0"], "0 is not in the range"),
        (["x.png", "--min-score", "2"], "2.0 is not in the range"),
        (["x.png", "--detect-side", "10"], "10 is not in the range"),
        (["x.png", "--model", "compcat"], "unknown model 'compcat'; bundled models are"),
    ],
)
def test_misuse_has_status_2_and_says_why(arguments, message):
    result = CliRunner().invoke(read, arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_without_images_is_misuse(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty")
    assert result.exit_code == 2
    assert "found no images" in result.stderr


def test_an_empty_folder_among_others_is_noted(run, photos, tmp_path):
    for name in ("empty", "only text"):
        (tmp_path / name).mkdir()
    (tmp_path / "only text" / "a.txt").touch()
    result = run("--json", tmp_path / "empty", photos, tmp_path / "only text")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    notes = [line for line in result.stderr.splitlines() if line.startswith("Note:")]
    assert notes == [
        f"Note: found no images in {tmp_path / name}." for name in ("empty", "only text")
    ]
    assert "Note:" not in run(photos).stderr


def test_annotated_copies_keep_the_folders_and_are_not_overwritten(run, photos, tmp_path):
    out = tmp_path / "out"
    assert run("--annotate", out, photos).exit_code == 0
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == ["0.png.faces.jpg", "deep/1.png.faces.jpg", "deep/2.png.faces.jpg"]
    (out / "0.png.faces.jpg").write_bytes(b"mine")
    again = run("--annotate", out, photos)
    assert again.exit_code == 2
    assert "exists; choose another folder or pass --force" in again.stderr
    assert (out / "0.png.faces.jpg").read_bytes() == b"mine"
    assert run("--annotate", out, "--force", photos).exit_code == 0
    with Image.open(out / "0.png.faces.jpg") as written:
        assert written.format == "JPEG"
    assert not [path for path in out.rglob(".*") if path.is_file()]  # no half-written copies


def test_photos_of_one_name_are_not_written_over_each_other(run, photos, tmp_path):
    other = tmp_path / "0.png"
    other.write_bytes((photos / "0.png").read_bytes())
    result = run("--annotate", tmp_path / "out", "--force", photos / "0.png", other)
    assert result.exit_code == 2
    assert "two photos would both be written" in result.stderr


def test_results_go_to_stdout_and_the_rest_to_stderr_without_a_bar_when_piped(
    tiny_model_path, photos
):
    code = "from facetell.cli import main; main()"
    command = [sys.executable, "-c", code, "read", "--json", "--detector", "none"]
    command += ["--model", str(tiny_model_path), *[str(photos)] * 3]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 9
    assert done.stderr.splitlines() == ["reading 9 images with tiny, detector none"]


def test_explanations_keep_the_folders_and_a_broken_file_stops_nothing(run, photos, tmp_path):
    (photos / "bad.png").write_bytes(b"no image")
    out = tmp_path / "why"

    result = run("--explain", out, photos)

    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == [
        f"{name}.png.face1.{form}" for name in ("0", "deep/1", "deep/2") for form in ("json", "png")
    ]
    assert result.exit_code == 1
    assert result.stderr.count("Error") == 1
    assert "1 of 4 failed" in result.stderr
    assert f"wrote {out / '0.png.face1.png'}" in result.stderr


def test_what_was_written_among_the_photos_is_not_read_the_next_time(run, photos):
    outputs = ("--annotate", photos, "--explain", photos, "--csv", photos / "faces.csv")
    first = run(photos, *outputs)
    assert first.exit_code == 0, first.output
    assert len(list(photos.rglob("*.face*.*"))) == 3 * 3
    before = (photos / "faces.csv").read_bytes()
    again = run(photos, *outputs, "--force")
    assert again.exit_code == 0, again.output
    assert "reading 3 images" in again.stderr
    assert (photos / "faces.csv").read_bytes() == before


def test_explanations_are_not_overwritten_without_force(run, photos, tmp_path):
    arguments = ("--explain", tmp_path / "why", photos / "0.png")
    assert run(*arguments).exit_code == 0

    result = run(*arguments)

    assert result.exit_code == 2
    assert "0.png.face1.png exists; choose another folder or pass --force" in result.stderr
    assert run(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--explain-at", "1"], "--explain-at names times in a clip; these are photos"),
        (["--explain-at", "1,x"], "expected seconds such as 1.5,3, got '1,x'"),
        (["--explain-at", "-1"], "expected seconds such as 1.5,3, got '-1'"),
        (["--explain", "x", "--engine", "ray"], "--explain works here, not on --engine ray"),
    ],
)
def test_explanations_that_cannot_be_are_misuse(run, photos, arguments, message):
    result = run(*arguments, photos / "0.png")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
