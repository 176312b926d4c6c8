import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facetell.cli import _group
from facetell.cli.bench import bench
from facetell.cli.models import models
from facetell.errors import ContractError, InputError
from facetell.labels import EMOTIONS
from facetell.runtime import session
from facetell.runtime.session import load
from facetell.runtime.speed import _counts
from foreign_models import KERAS_NAMES, write_foreign


@pytest.fixture
def bundled(tiny_model_path, tmp_path, monkeypatch):
    shutil.copy(tiny_model_path, tmp_path / "tiny.onnx")
    (tmp_path / "tiny.md").write_text("# tiny\nA card.\n", "utf-8")
    monkeypatch.setattr(session, "MODELS", tmp_path)
    return tmp_path


def test_bench_prints_a_row_per_model(tiny_model_path):
    result = CliRunner().invoke(
        bench, [str(tiny_model_path), str(tiny_model_path), "--repeats", "2"]
    )
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert "ms, 1 face" in head
    assert [row.split()[0] for row in rows] == ["tiny", "tiny"]


def test_bench_json_has_every_figure(tiny_model_path):
    result = CliRunner().invoke(bench, ["--json", "--repeats", "2", str(tiny_model_path)])
    speed = json.loads(result.stdout)
    assert speed["threads"] == 1
    assert speed["file_bytes"] == tiny_model_path.stat().st_size
    assert speed["faces_per_s"] == pytest.approx(1000 / speed["batch_ms"])
    assert min(speed["single_ms"], speed["batch_ms"], speed["memory_bytes"]) > 0


@pytest.mark.parametrize(("command", "name"), [(bench, ["nope"]), (models, ["show", "nope"])])
def test_unknown_models_are_misuse(command, name):
    result = CliRunner().invoke(command, name)
    assert result.exit_code == 2
    assert "unknown model 'nope'" in result.stderr


def test_models_are_listed_from_their_contracts(bundled):
    result = CliRunner().invoke(models, ["list"])
    assert result.stdout.startswith("tiny            48 px grey")
    assert "angry, disgust" in result.stdout
    (line,) = CliRunner().invoke(models, ["list", "--json"]).stdout.splitlines()
    assert json.loads(line)["contract"]["score_scale"] == 2.0


def test_no_bundled_models_is_said_on_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "MODELS", tmp_path)
    result = CliRunner().invoke(models, ["list"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no models are bundled" in result.stderr


def test_show_prints_contract_and_card_by_name_or_path(bundled):
    for name in ("tiny", str(bundled / "tiny.onnx")):
        text = CliRunner().invoke(models, ["show", name]).stdout
        assert "score_scale     2.0" in text
        assert text.endswith("# tiny\nA card.\n")
    about = json.loads(CliRunner().invoke(models, ["show", "--json", "tiny"]).stdout)
    assert about["card"] == "# tiny\nA card.\n"


def test_remarks_that_hold_commas_stay_apart():
    contract = load("strong-plus", threads=1).contract
    text = CliRunner().invoke(models, ["show", "strong-plus"]).stdout
    assert len(contract.training) > 1
    assert f"training        {'; '.join(contract.training)}\n" in text
    assert f"labels          {', '.join(contract.labels)}\n" in text


@pytest.fixture
def third_party(tmp_path):
    return write_foreign(tmp_path / "theirs.onnx", ["n", 64, 64, 1])


def test_bench_measures_anybodys_model_beside_ours(tiny_model_path, third_party):
    result = CliRunner().invoke(bench, [str(tiny_model_path), str(third_party), "--repeats", "2"])
    assert result.exit_code == 0, result.output
    assert [row.split()[0] for row in result.stdout.splitlines()[1:]] == ["tiny", "theirs"]


def test_bench_asks_for_what_the_graph_does_not_tell(tmp_path):
    path = write_foreign(tmp_path / "open.onnx", ["n", 3, "h", "w"])
    result = CliRunner().invoke(bench, [str(path), "--repeats", "1"])
    assert isinstance(result.exception, InputError)
    assert "Give --size 48" in str(result.exception)
    assert CliRunner().invoke(bench, [str(path), "--repeats", "1", "--size", "48"]).exit_code == 0


def test_bench_judges_all_models_on_the_same_faces(tiny_model_path, third_party):
    described = ["--labels", ",".join(KERAS_NAMES), "--range", "-1-1", "--repeats", "1", "--json"]
    result = CliRunner().invoke(
        bench, [str(tiny_model_path), str(third_party), "--data", "toon", *described]
    )
    assert result.exit_code == 0, result.output
    ours, theirs = map(json.loads, result.stdout.splitlines())
    assert ours["faces"] == theirs["faces"] > 0
    assert ours["side"] == "test"
    assert (ours["judged_with_flip"], theirs["judged_with_flip"]) == (True, False)
    assert 0 <= theirs["accuracy"] <= 1
    assert ours["clean_accuracy"] is None
    assert "near-copies are not known yet" in result.stderr


def test_ones_own_faces_without_sides_judge_all(tiny_model_path, tmp_path):
    rng = np.random.default_rng(0)
    for label in EMOTIONS:
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(2):
            face = Image.fromarray(rng.integers(0, 256, (48, 48), np.uint8))
            face.save(tmp_path / "mine" / label / f"{i}.png")
    data = ["--data", str(tmp_path / "mine")]
    command = [str(tiny_model_path), *data, "--repeats", "1", "--json"]

    assert "use whole" in str(CliRunner().invoke(bench, command).exception)
    measured = CliRunner().invoke(bench, [*command, "--protocol", "whole"])
    judged = CliRunner().invoke(
        _group, ["evaluate", str(tiny_model_path), *data, "--protocol", "whole", "--json"]
    )

    ours, whole = json.loads(measured.stdout), json.loads(judged.stdout)
    assert (ours["faces"], ours["side"], ours["clean_accuracy"]) == (14, "test", None)
    assert "near-copies are not known" not in measured.stderr
    assert (whole["n"], whole["protocol"], whole["removed"]) == (14, "whole", 0)
    assert ours["accuracy"] == whole["metrics"]["accuracy"]["value"]


def test_bench_needs_names_to_judge(third_party):
    result = CliRunner().invoke(bench, [str(third_party), "--data", "toon"])
    assert "Give --labels" in str(result.exception)


def test_bench_does_not_count_the_memory_of_the_process_that_asks(tiny_model_path):
    ballast = np.ones(64 << 20)  # 512 MB
    result = CliRunner().invoke(bench, ["--json", "--repeats", "1", str(tiny_model_path)])
    assert json.loads(result.stdout)["memory_bytes"] < ballast.nbytes // 2


def test_tuning_names_the_best_of_what_it_timed(tiny_model_path):
    result = CliRunner().invoke(bench, ["--tune", "--json", "--repeats", "2", str(tiny_model_path)])
    found = json.loads(result.stdout)
    assert {row[1] for row in found["ms"]} == {1, 8, 64}
    assert found["best"] == min(found["ms"], key=lambda row: row[2])
    text = CliRunner().invoke(bench, ["--tune", "--repeats", "2", str(tiny_model_path)]).stdout
    assert "Faces one at a time: " in text
    assert "faces/s." in text


def test_tuning_tries_powers_of_two_and_all_processors():
    assert [_counts(most) for most in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]


def test_models_with_and_without_contempt_are_judged_on_data_without(
    tmp_path, make_model, tiny_model_path
):
    eight = make_model(tmp_path / "eight.onnx", labels=(*EMOTIONS, "contempt"))
    result = CliRunner().invoke(
        bench, [str(eight), str(tiny_model_path), "--data", "toon", "--repeats", "1", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["name"] for line in result.stdout.splitlines()] == ["eight", "tiny"]


def test_a_model_that_lacks_a_label_is_refused_before_any_is_judged(
    tmp_path, make_model, tiny_model_path
):
    six = make_model(tmp_path / "six.onnx", labels=EMOTIONS[:6])
    result = CliRunner().invoke(bench, [str(tiny_model_path), str(six), "--data", "toon"])
    assert isinstance(result.exception, ContractError)
    assert "judging" not in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--range", "0-1", "--mean", "0.5"], "got range 0-1 and mean 0.5. Leave one of them out."),
        (["--std", "0"], "std must be numbers above 0, got 0. Correct the options."),
        (["--channels", "2"], "channels must be 1 or 3, got 2. Correct the options."),
    ],
)
def test_impossible_descriptions_are_a_misuse(third_party, options, message):
    result = CliRunner().invoke(bench, [str(third_party), *options])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "whole"], "--protocol goes with --data, which is missing"),
        (["--no-flip"], "--flip/--no-flip goes with --data, which is missing"),
        (["--tune", "--data", "toon"], "--tune times and does not judge"),
    ],
)
def test_options_of_bench_that_would_do_nothing_are_refused(tiny_model_path, options, message):
    result = CliRunner().invoke(bench, [str(tiny_model_path), *options])
    assert result.exit_code == 2
    assert message in result.stderr
