import csv
import json

import pytest
from click.testing import CliRunner

from facetell.cli import _group
from facetell.errors import DataError, InputError
from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.slices import Slices
from facetell.runtime import analyzer  # noqa: F401 (or it would be imported with a fake loader)
from judging import FakePredictor, small_dataset

MODELS = {"good": {"skill": 4.0}, "bad": {"skill": 1.0, "seed": 1}}


@pytest.fixture
def loaded(monkeypatch):
    """Fakes in place of the model loader and the dataset; the calls of the loader."""
    calls = []

    def load(name, *, threads=None, flip=None):
        calls.append({"name": name, "threads": threads, "flip": flip})
        return FakePredictor(name, **MODELS[name])

    monkeypatch.setattr("facetell.runtime.session.load", load)
    monkeypatch.setattr(
        "facetell.datasets.open_dataset", lambda path, label_order: small_dataset(280)
    )
    return calls


def run(*arguments):
    return CliRunner().invoke(_group, ["evaluate", *map(str, arguments)], catch_exceptions=True)


def test_the_table_is_all_there_is_on_stdout(loaded):
    result = run("good", "--data", "x")

    assert result.exit_code == 0
    assert result.stdout.startswith("model  good\nfaces  small, protocol official, test side: 70")
    assert "95 % interval" in result.stdout
    assert "Note" not in result.stdout
    assert "Note: Few faces" in result.stderr


def test_json_is_one_object_that_from_dict_reads(loaded):
    result = run("good", "--data", "x", "--json")

    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert found.pop("against") is None
    assert found.pop("comparison") is None
    assert Evaluation.from_dict(found).n == 70


def test_a_second_model_is_compared_on_the_same_faces(loaded):
    shown = run("good", "--data", "x", "--against", "bad")
    found = json.loads(run("good", "--data", "x", "--against", "bad", "--json").stdout)

    assert "good is better beyond chance" in shown.stdout
    assert "model  bad" in shown.stdout
    assert found["comparison"]["model_b"] == found["against"]["model"] == "bad"
    assert found["comparison"]["n"] == 70


def test_what_the_second_model_may_have_seen_is_told(loaded, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "bad", {"skill": 1.0, "seed": 1, "protocol": "random-80-10-10"})
    report = tmp_path / "report.html"
    shown = run("good", "--data", "x", "--against", "bad", "--report", report)
    said = "bad: The model was trained under the protocol"
    assert f"Note: {said}" in shown.stderr
    assert said in report.read_text()
    assert said not in run("good", "--data", "x", "--against", "good").stderr


def test_side_and_protocol_are_passed_on(loaded):
    found = json.loads(run("good", "--data", "x", "--side", "validation", "--json").stdout)

    assert (found["side"], found["protocol"]) == ("validation", "official")


@pytest.mark.parametrize(("option", "flip"), [((), None), (("--no-flip",), False)])
def test_flip_and_threads_reach_the_loader(loaded, option, flip):
    run("good", "--data", "x", "--threads", 1, *option)

    assert loaded == [{"name": "good", "threads": 1, "flip": flip}]


def test_report_and_predictions_are_written_and_named_on_stderr(loaded, tmp_path):
    page, answers = tmp_path / "report.html", tmp_path / "answers.csv"

    result = run("good", "--data", "x", "--report", page, "--predictions", answers, "--maps", 0)

    assert result.exit_code == 0
    assert f"Report: {page}" in result.stderr
    assert f"Predictions: {answers}" in result.stderr
    assert "data:image/png" in page.read_text(encoding="utf-8")
    with answers.open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 71


def test_a_report_without_faces_has_none(loaded, tmp_path):
    page = tmp_path / "report.html"

    run("good", "--data", "x", "--report", page, "--no-faces", "--maps", 0)

    assert "data:image/png" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--report", "--predictions"])
def test_files_are_kept_without_force_before_any_work_is_done(loaded, tmp_path, option):
    path = tmp_path / "there"
    path.write_text("mine")

    result = run("good", "--data", "x", option, path)

    assert isinstance(result.exception, InputError)
    assert "is there already" in str(result.exception)
    assert (path.read_text(), loaded) == ("mine", [])
    quick = ("--maps", 0) if option == "--report" else ()
    assert run("good", "--data", "x", option, path, "--force", *quick).exit_code == 0
    assert path.read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-group", "20"], "--min-group goes with --groups, which is missing. Add it."),
        (["--maps", "3"], "--maps goes with --report, which is missing. Add it."),
        (["--no-faces"], "--faces/--no-faces goes with --report, which is missing. Add it."),
    ],
)
def test_an_option_that_would_do_nothing_is_misuse(loaded, options, message):
    result = run("good", "--data", "x", *options)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert loaded == []


def test_a_missing_folder_is_told_before_any_work_is_done(loaded, tmp_path):
    result = run("good", "--data", "x", "--report", tmp_path / "no" / "report.html")

    assert isinstance(result.exception, InputError)
    assert "Create it first" in str(result.exception)
    assert loaded == []


def test_a_side_without_faces_is_an_error(loaded, monkeypatch):
    kept_back = small_dataset(280, test=False)
    monkeypatch.setattr("facetell.datasets.open_dataset", lambda path, label_order: kept_back)

    result = run("good", "--data", "x", "--side", "test")

    assert isinstance(result.exception, DataError)


def test_a_folder_is_a_training_run(loaded, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    opened = []

    def load_run(folder, *, flip=None):
        opened.append((folder, flip))
        return FakePredictor("run")

    monkeypatch.setattr("facetell.train.predictor.load_run", load_run)

    result = run(tmp_path, "--data", "x", "--flip")

    assert result.exit_code == 0
    assert opened == [(str(tmp_path), True)]
    assert loaded == []


def test_an_onnx_file_is_judged_on_drawn_faces(tiny_model_path):
    data = "toon:characters=6,per_emotion=1"
    result = run(tiny_model_path, "--data", data, "--no-flip", "--json")

    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    assert (found["model"], found["contract"]["flip"]) == ("tiny", False)
    assert sum(map(sum, found["confusion"])) == found["n"] > 0


def test_what_is_to_stay_together_is_read_and_kept_together(loaded, tmp_path):
    path = tmp_path / "groups.csv"
    sides = [sample.side for sample in small_dataset(280).samples]
    names = [side if i < 8 else f"own{i}" for i, side in enumerate(sides)]
    names[7] = "train"  # the second test face is said to be in training
    path.write_text("id,group\n" + "".join(f"face/{i},{name}\n" for i, name in enumerate(names)))

    result = run("good", "--data", "x", "--protocol", "clean", "--together", path, "--json")

    assert json.loads(result.stdout)["n"] == 69


@pytest.fixture
def cameras(tmp_path):
    path = tmp_path / "people.csv"
    rows = (f"face/{i},{'old' if i % 3 else 'new'}\n" for i in range(280))
    path.write_text("id,camera\n" + "".join(rows))
    return f"{path}:camera"


def test_groups_of_a_file_are_compared_in_text_json_and_report(loaded, cameras, tmp_path):
    page = tmp_path / "report.html"
    arguments = ("good", "--data", "x", "--groups", cameras, "--min-group", 20)

    shown = run(*arguments, "--report", page, "--maps", 1)
    found = json.loads(run(*arguments, "--json").stdout)

    assert "by camera\n" in shown.stdout
    assert "best against worst group" in shown.stdout
    assert "Note: The groups are the values of" in shown.stderr
    slices = Slices.from_dict(found.pop("groups"))
    assert [group.name for group in slices.groups] == ["new", "old"]
    assert sum(group.n for group in slices.groups) == 70
    report = page.read_text(encoding="utf-8")
    assert "Best against worst group" in report
    assert "What the scores depend on" in report


def test_a_file_without_a_column_is_told_from_what_stays_together(loaded, tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("id,group\nface/0,1\n")

    result = run("good", "--data", "x", "--groups", path)

    assert isinstance(result.exception, DataError)
    assert "Groups that must share a side go to --together" in str(result.exception)


def test_help_ends_with_an_example():
    assert run("--help").stdout.rstrip().endswith("--report report.html")


@pytest.mark.parametrize(
    "option", [("--seed", "-1"), ("--seed", 2**32), ("--fold", "-1"), ("--threads", 0)]
)
def test_numbers_that_cannot_be_are_a_misuse(loaded, option):
    result = run("good", "--data", "x", *option)

    assert result.exit_code == 2
    assert f"{option[0]}': {option[1]} is not in the range" in result.stderr
    assert loaded == []
