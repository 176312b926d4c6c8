"""Networks that decide together, and runs with several seeds."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner  # noqa: E402

from facetell.cli import _group  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.errors import TrainingError  # noqa: E402
from facetell.export import export  # noqa: E402
from facetell.recipe import recipe_from_dict  # noqa: E402
from facetell.runtime.session import load  # noqa: E402
from facetell.train.ensemble import join_runs  # noqa: E402
from facetell.train.finish import refit_run  # noqa: E402
from facetell.train.loop import train  # noqa: E402
from facetell.train.predictor import load_run  # noqa: E402
from facetell.train.seeds import train_seeds  # noqa: E402

TOON = "toon:characters=6,per_emotion=4,face_px=16"


def toon():
    return make_toon(characters=6, per_emotion=4, face_px=16)


def recipe(*, epochs=1, **model):
    blocks = {"face_px": 16, "widths": [4, 6], "relu_each": True, "stn": False,
              "batch_norm": True, "features": 8, "hidden": 8, "grid": 2}  # fmt: skip
    return recipe_from_dict(
        {"name": "tiny", "model": blocks | model, "train": {"epochs": epochs, "batch_size": 16}}
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of one network and a smaller one."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"accelerator": "cpu"}
    made = [run for run, _ in train_seeds(recipe(), toon(), folder, seeds=2, **options)]
    train(recipe(features=6), toon(), folder / "small", **options)
    return [*made, folder / "small"]


def test_the_ensemble_decides_by_the_mean_of_log_odds(tmp_path, runs):
    joined = join_runs(runs, tmp_path / "all")
    faces = toon().faces(range(9), face_px=16)
    members = [load_run(run) for run in runs]
    logs = [m.contract.score_scale * m.predict(faces).margins for m in members]
    assert joined.predict(faces).margins == pytest.approx(np.mean(logs, axis=0), abs=1e-5)
    contract = joined.contract
    assert contract.parameters == sum(m.contract.parameters for m in members)
    assert contract.multiply_adds == sum(m.contract.multiply_adds for m in members)
    assert contract.architecture.startswith("mean of 3 networks: ")
    assert 0 < contract.results["accuracy"] <= 1


def test_a_joined_run_comes_back_from_its_folder_and_exports_as_one_file(tmp_path, runs):
    joined = join_runs(runs, tmp_path / "all", name="three")
    faces = toon().faces(range(9), face_px=16)
    again = load_run(tmp_path / "all")
    assert np.array_equal(again.predict(faces).scores, joined.predict(faces).scores)
    assert json.loads((tmp_path / "all" / "run.json").read_text())["joined"] == list(map(str, runs))
    export(again, tmp_path / "three.onnx", faces)
    model = load(tmp_path / "three.onnx", threads=1)
    assert model.contract.name == "three"
    assert model.predict(faces).scores == pytest.approx(joined.predict(faces).scores, abs=1e-5)


def test_runs_that_do_not_go_together_are_refused(tmp_path, runs):
    out = tmp_path / "out"
    with pytest.raises(TrainingError, match="two to 5 runs to join, got 1"):
        join_runs(runs[:1], out)
    other = tmp_path / "other"
    train(recipe(), make_toon(characters=7, per_emotion=4, face_px=16), other, accelerator="cpu")
    with pytest.raises(TrainingError, match="with the data"):
        join_runs([runs[0], other], out)
    join_runs(runs, out)
    with pytest.raises(TrainingError, match="expected a new folder"):
        join_runs(runs, out)
    with pytest.raises(TrainingError, match="got an ensemble"):
        join_runs([runs[0], out], tmp_path / "nested")
    with pytest.raises(TrainingError, match="Refit the members and join them again"):
        refit_run(out, tmp_path / "refit", {"fit": "admm"})


def test_seeds_go_on_where_they_stopped_and_tell_their_spread(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(
        'name = "tiny"\n[model]\nface_px = 16\nstn = false\nwidths = [4, 6]\nfeatures = 8\n'
        "hidden = 8\ngrid = 2\n[train]\nepochs = 1\nbatch_size = 16\n"
    )
    command = ["train", str(path), "--data", TOON, "--out", str(tmp_path / "runs"),
               "--accelerator", "cpu", "--threads", "1", "--seeds"]  # fmt: skip
    first = CliRunner().invoke(_group, [*command, "2"], catch_exceptions=False)
    assert "validation accuracy over 2 seeds:" in first.output
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").glob("*/model.safetensors")}
    assert len(times) == 2
    second = CliRunner().invoke(_group, [*command, "3", "--join"], catch_exceptions=False)
    assert "standard deviation" in second.output
    assert all(p.stat().st_mtime_ns == before for p, before in times.items())
    seeds = [load_run(tmp_path / "runs" / f"seed-{n}").recipe.train.seed for n in range(3)]
    assert seeds == [0, 1, 2]
    assert load_run(tmp_path / "runs" / "ensemble").contract.name == "tiny-ensemble"
    refused = CliRunner().invoke(_group, [*command, "6", "--join"])
    assert "--join takes --seeds 2 to 5, got 6" in refused.output
