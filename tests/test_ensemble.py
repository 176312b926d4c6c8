"""Networks that decide together, and runs with several seeds."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner  # noqa: E402

from facetell.cli import _group  # noqa: E402
from facetell.contract import Contract, replace_contract  # noqa: E402
from facetell.datasets.splits import split  # noqa: E402
from facetell.datasets.toon import make_toon  # noqa: E402
from facetell.ensemble import _training, join  # noqa: E402
from facetell.errors import ExportError, InputError  # noqa: E402
from facetell.evaluate.judged import judge  # noqa: E402
from facetell.export import export  # noqa: E402
from facetell.graph import open_graph  # noqa: E402
from facetell.predictor import softmax  # noqa: E402
from facetell.recipe import DataOptions, recipe_from_dict  # noqa: E402
from facetell.runtime.session import load  # noqa: E402
from facetell.smaller import shrink  # noqa: E402
from facetell.tensors import to_tensor  # noqa: E402
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


def saved(graph, path):
    path.write_bytes(graph)
    return load(str(path), threads=1)


def test_the_ensemble_decides_by_the_mean_of_log_odds(tmp_path, runs):
    joined = saved(join(runs, toon(), name="three"), tmp_path / "three.onnx")
    faces = toon().faces(range(9), face_px=16)
    members = [load_run(run) for run in runs]
    logs = [m.contract.score_scale * m.predict(faces).margins for m in members]
    prediction = joined.predict(faces)
    assert prediction.margins == pytest.approx(np.mean(logs, axis=0), abs=1e-4)
    contract = joined.contract
    assert prediction.scores == pytest.approx(
        softmax(prediction.margins, contract.score_scale), abs=1e-5
    )
    assert contract.name == "three"
    assert contract.recipe == "tiny + tiny + tiny"
    assert contract.parameters == sum(m.contract.parameters for m in members)
    assert contract.multiply_adds == sum(m.contract.multiply_adds for m in members)
    assert contract.architecture.startswith("mean of 3 networks: ")
    parts = split(toon())
    found = judge(joined, toon(), parts, side="validation")
    assert contract.results["accuracy"] == pytest.approx(
        float((found.predicted == found.labels).mean()), abs=1e-6
    )
    assert contract.results["faces"] == len(parts.validation)


def test_the_graph_itself_gives_the_scores_and_nothing_that_is_not_needed(tmp_path, runs):
    onnx = pytest.importorskip("onnx")
    joined = saved(join(runs[:2], toon()), tmp_path / "both.onnx")
    graph = onnx.load(joined.path).graph
    assert [value.name for value in graph.output] == ["margins", "scores"]
    assert [node.op_type for node in graph.node].count("Softmax") == 1
    session = open_graph(joined.path, threads=1)
    faces = to_tensor(toon().faces(range(5), face_px=16), joined.contract)
    margins, scores = session.run(None, {"faces": faces})
    assert scores == pytest.approx(softmax(margins, joined.contract.score_scale), abs=1e-6)


@pytest.mark.parametrize(("precision", "within"), [("fp16", 0.02), ("int8", 0.5)])
def test_model_files_of_any_precision_join_as_runs_do(tmp_path, runs, precision, within):
    faces = toon().faces(range(9), face_px=16)
    for number, run in enumerate(runs[:2]):
        export(load_run(run), tmp_path / f"{number}.onnx", faces)
    files = [tmp_path / "0.onnx", tmp_path / "1.onnx"]
    small = tmp_path / "small.onnx"
    small.write_bytes(shrink(files[1], precision, split(toon()), most_loss=1.0).graph)

    whole = saved(join(runs[:2], toon()), tmp_path / "a.onnx")
    mixed = saved(join([files[0], small], toon()), tmp_path / "b.onnx")

    assert mixed.predict(faces).margins == pytest.approx(whole.predict(faces).margins, abs=within)
    assert not np.array_equal(mixed.predict(faces).margins, whole.predict(faces).margins)


def test_an_ensemble_is_calibrated_judged_and_joined_again(tmp_path, runs):
    joined = saved(join(runs[:2], toon()), tmp_path / "both.onnx")
    again = saved(join([joined.path, runs[2]], toon()), tmp_path / "again.onnx")
    faces = toon().faces(range(6), face_px=16)
    third = load_run(runs[2])
    expected = [
        joined.contract.score_scale * joined.predict(faces).margins,
        third.contract.score_scale * third.predict(faces).margins,
    ]
    assert again.predict(faces).margins == pytest.approx(np.mean(expected, axis=0), abs=1e-4)


def test_scores_of_calibrated_models_join_as_their_geometric_mean(tmp_path, runs):
    faces = toon().faces(range(9), face_px=16)
    files = []
    unlike = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 0.7)
    for place, (bend, factors) in enumerate([(4.0, unlike), (0.0, ()), (0.0, unlike)]):
        model = load_run(runs[place])
        path = tmp_path / f"{place}.onnx"
        export(model, path, faces)
        training = (*model.contract.training, f"remark {place}")
        changes = {"score_bend": bend, "score_scale": 3.0, "training": training,
                   "score_factors": factors}  # fmt: skip
        contract = replace(load(str(path)).contract, **changes)
        path.write_bytes(replace_contract(path.read_bytes(), contract))
        files.append(path)

    joined = saved(join(files, toon()), tmp_path / "both.onnx")

    scores = [load(str(path), flip=False).predict(faces).scores for path in files]
    expected = np.exp(np.mean(np.log(scores), axis=0))
    expected /= expected.sum(1, keepdims=True)
    found = load(str(joined.path), flip=False).predict(faces).margins
    assert softmax(found, 1.0) == pytest.approx(expected, abs=1e-4)
    assert joined.contract.training[-3:] == (
        "network 1: remark 0", "network 2: remark 1", "network 3: remark 2"
    )  # fmt: skip
    far = open_graph(joined.path, threads=1).run(
        None, {"faces": np.full((1, 1, 1, 16, 16), 1e4, np.float32)}
    )
    assert np.isfinite(far[0]).all()


def test_models_that_do_not_go_together_are_refused(tmp_path, runs):
    with pytest.raises(ExportError, match="two to 5 models to join, got 1"):
        join(runs[:1], toon())
    other = tmp_path / "other"
    data = make_toon(characters=7, per_emotion=4, face_px=16)
    train(recipe(), data, other, accelerator="cpu")
    with pytest.raises(ExportError, match="trained and chosen on the same faces"):
        join([runs[0], other], toon())
    with pytest.raises(ExportError, match="face_px 16, got compact with 48"):
        join([runs[0], "compact"], toon())
    with pytest.raises(InputError, match="Did you mean 'compact'"):
        join([runs[0], "compakt"], toon())


def test_seeds_keep_the_sides_that_another_seed_draws_and_join(tmp_path):
    drawn = replace(recipe(), data=DataOptions(protocol="random-80-10-10", seed=3))
    made = dict(train_seeds(drawn, toon(), tmp_path, seeds=2, accelerator="cpu"))
    assert len({predictor.contract.trained_on for predictor in made.values()}) == 1
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path, predictor in zip(files, made.values(), strict=True):
        export(predictor, path, toon().faces(range(9), face_px=16))

    parts = split(toon(), "random-80-10-10", seed=3)
    for members in (list(made), [files[0], list(made)[1]]):
        joined = saved(join(members, toon()), tmp_path / "joined.onnx")
        assert joined.contract.results["faces"] == len(parts.validation)
        assert joined.contract.trained_on == parts.trained_on
    with pytest.raises(ExportError, match="may have been trained on any of these faces"):
        join(files, toon())  # files do not hold the sides, and seed 0 draws others
    other = replace(drawn, data=DataOptions(protocol="random-80-10-10", seed=4))
    train(other, toon(), tmp_path / "other", accelerator="cpu")
    with pytest.raises(ExportError, match=r"models trained and chosen on the same faces"):
        join([*files, tmp_path / "other"], toon())


def test_one_network_twice_is_refused_also_under_another_calibration(tmp_path, runs):
    path = tmp_path / "a.onnx"
    export(load_run(runs[0]), path, toon().faces(range(9), face_px=16))
    copy = tmp_path / "b.onnx"
    calibrated = replace(load(str(path)).contract, name="b", score_bend=2.0)
    copy.write_bytes(replace_contract(path.read_bytes(), calibrated))
    for again in (path, copy, runs[0]):
        with pytest.raises(ExportError, match=r"expected networks that differ, got .*same as .*a"):
            join([path, runs[1], again], toon())


def test_a_remark_on_training_says_whose_it_is_unless_it_is_of_all():
    contracts = [
        Contract(name="x", training=training)
        for training in (("faces", "began with a"), ("faces", "votes"), ("faces", "votes"))
    ]
    assert _training(contracts) == ("faces", "network 1: began with a", "networks 2, 3: votes")
    assert _training(contracts[1:]) == ("faces", "votes")


def test_the_command_writes_one_file_and_says_what_it_reads_right(tmp_path, runs):
    out = tmp_path / "both.onnx"
    command = ["join", str(runs[0]), str(runs[1]), "--data", TOON, "--out", str(out)]
    done = CliRunner().invoke(_group, command, catch_exceptions=False)
    assert f"validation accuracy {100 * load(str(out)).contract.results['accuracy']:.2f}" in (
        done.output
    )
    again = CliRunner().invoke(_group, command)
    assert again.exit_code != 0
    assert "--force" in str(again.output) + str(again.exception)
    over = ["join", str(out), str(runs[2]), "--data", TOON, "--out", str(out), "--force"]
    lost = CliRunner().invoke(_group, over)
    assert lost.exit_code == 2
    assert f"expected --out to be another file than the model {out}" in lost.stderr


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
    wider = CliRunner().invoke(_group, [*command, "3", "--set", "model.features=9"])
    assert "differ in recipe" in str(wider.exception)
    seeds = [load_run(tmp_path / "runs" / f"seed-{n}").recipe.train.seed for n in range(3)]
    assert seeds == [0, 1, 2]
    assert load(str(tmp_path / "runs" / "ensemble.onnx")).contract.name == "tiny-ensemble"
    refused = CliRunner().invoke(_group, [*command, "6", "--join"])
    assert "--join takes --seeds 2 to 5, got 6" in refused.output
