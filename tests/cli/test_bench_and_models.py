import json
import shutil

import pytest
from click.testing import CliRunner

from facetell.cli.bench import bench
from facetell.cli.models import models
from facetell.runtime import session


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
