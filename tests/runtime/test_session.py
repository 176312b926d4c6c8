import json
from pathlib import Path

import numpy as np
import pytest

from facetell.contract import METADATA_KEY
from facetell.errors import ContractError, InputError
from facetell.predictor import Predictor
from facetell.runtime import session
from facetell.runtime.session import Model, bundled_models, load
from facetell.tensors import to_tensor


@pytest.fixture(scope="module")
def model(tiny_model_path) -> Model:
    return load(tiny_model_path, threads=1)


def faces(count: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side), np.uint8)


def test_a_loaded_model_is_a_predictor_with_its_contract(model):
    assert isinstance(model, Predictor)
    assert (model.contract.name, model.contract.score_scale, model.flip) == ("tiny", 2.0, True)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_any_number_of_faces_gets_that_many_answers(model, count):
    answer = model.predict(faces(count))
    assert answer.margins.shape == answer.scores.shape == (count, 7)
    assert answer.theta.shape == (count, 2, 3)
    assert answer.scores.dtype == answer.margins.dtype == np.float32
    assert np.allclose(answer.scores.sum(axis=1), 1, atol=1e-5)


def test_scores_are_the_graphs_own_without_flip(tiny_model_path):
    plain = load(tiny_model_path, threads=1, flip=False)
    some = faces(5)
    answer = plain.predict(some)
    outputs = plain._graph.run(
        ["margins", "scores", "theta"], {"faces": to_tensor(some, plain.contract)}
    )
    assert answer.steps is None
    for ours, theirs in zip(answer[:3], (*outputs[:2], outputs[2][:, 0]), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)


def test_flip_averages_margins_and_softmax_follows(tiny_model_path, model):
    plain = load(tiny_model_path, threads=1, flip=False)
    some = faces(5)
    straight, mirrored = plain.predict(some), plain.predict(some[:, :, ::-1])
    answer = model.predict(some)
    mean = (straight.margins + mirrored.margins) / 2
    powers = np.exp(2.0 * mean)
    assert np.allclose(answer.margins, mean, atol=1e-5)
    assert np.allclose(answer.scores, powers / powers.sum(1, keepdims=True), atol=1e-5)
    assert np.allclose(answer.theta, straight.theta)


def test_a_face_and_its_mirror_image_score_alike_with_flip(model):
    some = faces(4)
    assert np.allclose(
        model.predict(some).scores, model.predict(some[:, :, ::-1]).scores, atol=1e-6
    )


def test_batch_equals_one_by_one_and_order_is_kept(model):
    some = faces(130)
    together = model.predict(some).margins
    single = np.concatenate([model.predict(face[None]).margins for face in some])
    assert np.allclose(together, single, atol=1e-5)
    order = np.random.default_rng(0).permutation(130)
    assert np.allclose(model.predict(some[order]).margins, together[order], atol=1e-5)


def test_grey_and_grey_rgb_agree(model):
    some = faces(3)
    rgb = np.repeat(some[..., None], 3, axis=3)
    assert np.allclose(model.predict(some).scores, model.predict(rgb).scores, atol=1e-6)


def test_colour_models_without_theta_answer_without_theta(make_model, tmp_path):
    path = make_model(tmp_path / "colour.onnx", face_px=32, channels=3, theta=False)
    answer = load(path, threads=1).predict(np.zeros((2, 32, 32, 3), np.uint8))
    assert answer.theta is None
    assert answer.scores.shape == (2, 7)


@pytest.mark.parametrize("flip", [True, False])
def test_frames_are_scored_by_what_went_before_and_each_clip_has_its_own_memory(
    make_model, tmp_path, flip
):
    model = load(make_model(tmp_path / "clip.onnx", memory=3, theta=False), threads=1, flip=flip)
    one, other, shown = faces(1), faces(2)[1:], faces(3)[2:]
    pauses = np.array([0.1, 0.2])
    _, memory = model.predict_next(np.concatenate([one, other]), None, np.zeros(2))
    assert memory.shape == (2, 1 + flip, 2, 3)
    both, _ = model.predict_next(np.concatenate([shown, shown]), memory, pauses)
    for row, before in enumerate((one, other)):
        _, alone = model.predict_next(before, None, np.zeros(1))
        again, _ = model.predict_next(shown, alone, pauses[row : row + 1])
        assert np.allclose(again.scores[0], both.scores[row], atol=1e-5)
    assert np.abs(both.scores[0] - both.scores[1]).max() > 0.01
    assert np.abs(both.scores - model.predict(shown).scores).max() > 0.01


def test_a_model_with_memory_takes_each_face_of_a_photo_for_a_first_frame(make_model, tmp_path):
    model = load(make_model(tmp_path / "clip.onnx", memory=3), threads=1)
    first, _ = model.predict_next(faces(3), np.zeros((3, 2, 2, 3), np.float32), np.zeros(3))
    assert np.array_equal(model.predict(faces(3)).scores, first.scores)
    assert model.predict(faces(3)[:0]).scores.shape == (0, 7)


def test_a_graph_without_the_promised_memory_is_refused(make_model, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = make_model(tmp_path / "clip.onnx")
    model = onnx.load(path)
    contract = json.loads(model.metadata_props[0].value) | {"memory": 4}
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(contract)})
    onnx.save(model, path)
    with pytest.raises(ContractError, match=r"promises 'memory' of shape \(B, 2, 4\), .* None"):
        load(path)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 47, 47), np.uint8), np.zeros((2, 48, 48), np.float32)]
)
def test_faces_of_another_size_or_type_are_refused(model, bad):
    with pytest.raises(InputError, match="faces must be uint8 RGB"):
        model.predict(bad)


def test_bundled_names_win_and_unknown_names_are_answered_with_the_known(
    tiny_model_path, monkeypatch
):
    monkeypatch.setattr(session, "MODELS", tiny_model_path.parent)
    assert load("tiny", threads=1).path == tiny_model_path
    assert list(bundled_models()) == ["tiny"]
    with pytest.raises(
        InputError, match=r"unknown model 'tini'; bundled models are: tiny\. Did you"
    ):
        load("tini")


def test_missing_files_and_files_that_are_not_onnx_are_named(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(
        ContractError, match=r"none\.onnx: expected an ONNX model, got no such file"
    ):
        load(tmp_path / "none.onnx")
    with pytest.raises(ContractError, match=r"text\.onnx: expected .* cannot load .* again"):
        load(tmp_path / "text.onnx")


def test_threads_must_be_positive(tiny_model_path):
    with pytest.raises(InputError, match="threads must be 1 or more, got 0"):
        load(tiny_model_path, threads=0)


def test_a_file_without_contract_says_how_to_get_one(tiny_model_path, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_model_path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(
        ContractError, match=r"bare\.onnx has no facetell contract.*facetell export"
    ):
        load(tmp_path / "bare.onnx")
    onnx.helper.set_model_props(model, {METADATA_KEY: "{}"})
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(
        ContractError, match=r"old\.onnx: expected a contract of version 2, got None"
    ):
        load(tmp_path / "old.onnx")


def test_a_contract_that_its_graph_breaks_is_refused(tiny_model_path, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_model_path)
    text = model.metadata_props[0].value.replace('"face_px": 48', '"face_px": 64')
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, tmp_path / "lies.onnx")
    with pytest.raises(ContractError, match=r"promises 'faces' of shape \(B, 1, 1, 64, 64\)"):
        load(tmp_path / "lies.onnx")


@pytest.mark.parametrize(
    ("holds", "kind", "advice"),
    [
        ([], "a folder", "Name an .onnx file, or one of tiny."),
        (["run.json"], "the folder of a training run", "Finish it with `facetell train --resume "),
        (
            ["run.json", "model.safetensors"],
            "the folder of a training run",
            "Export it first with `facetell export runs/mine`, and name the file.",
        ),
        (
            ["run.json", "model.safetensors", "model.onnx"],
            "the folder of a training run",
            "Name a file in it: runs/mine/model.onnx.",
        ),
        (
            ["b.onnx", "a.onnx"],
            "a folder",
            "Name a file in it: runs/mine/a.onnx, runs/mine/b.onnx.",
        ),
    ],
    ids=["empty", "begun", "finished", "exported", "models"],
)
def test_a_folder_in_place_of_a_model_is_told_with_what_it_is(
    tmp_path, tiny_model_path, monkeypatch, holds, kind, advice
):
    monkeypatch.setattr(session, "MODELS", tiny_model_path.parent)
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/mine")
    folder.mkdir(parents=True)
    for name in holds:
        (folder / name).touch()

    for named in (folder, "runs/mine"):
        with pytest.raises(InputError) as told:
            load(named)
        assert str(told.value).startswith(
            f"runs/mine: expected a model's name or .onnx file, got {kind}. {advice}"
        )
