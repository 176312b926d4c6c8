"""Export."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from dataclasses import replace  # noqa: E402

from facetell.contract import Contract  # noqa: E402
from facetell.errors import ExportError  # noqa: E402
from facetell.export import export  # noqa: E402
from facetell.model.hybrid import build_model  # noqa: E402
from facetell.recipe import ModelOptions, TrainOptions  # noqa: E402
from facetell.runtime.session import load  # noqa: E402
from facetell.train.predictor import TorchPredictor  # noqa: E402
from facetell.train.pseudoclips import Clips  # noqa: E402

OPTIONS = ModelOptions(
    face_px=16, widths=(4, 6), relu_each=True, batch_norm=True, features=8, hidden=8, grid=2,
    stn_widths=(2, 2, 2), stn_hidden=(4, 4),
)  # fmt: skip


def predictor(options=OPTIONS, seed=0):
    torch.manual_seed(seed)
    model = build_model(options, 7, TrainOptions())
    if model.stn is not None:  # a map that does something
        torch.nn.init.normal_(model.stn.offset.weight, std=3.0)
    model.train()(torch.randn(64, 1, 1, 16, 16))  # statistics for batch normalisation
    contract = Contract(name="tiny", face_px=16, score_scale=2.5, sequence=options.sequence)
    return TorchPredictor(model.eval(), contract)


def faces(count=9):
    return np.random.default_rng(4).integers(0, 256, (count, 16, 16), np.uint8)


def test_the_onnx_file_remembers_what_the_network_remembers(tmp_path):
    ours = predictor(replace(OPTIONS, memory=5))
    torch.nn.init.normal_(ours.model.memory.svm.weight)
    ours.contract = replace(ours.contract, memory=5, flip=False)

    export(ours, tmp_path / "clip.onnx", faces())

    theirs = load(tmp_path / "clip.onnx")
    frames, pauses = faces(8).reshape(2, 4, 16, 16), torch.tensor([[0, 0.04, 0.1, 3.0]] * 2)
    clips = Clips(torch.from_numpy(frames), pauses, torch.zeros(2, 4, dtype=torch.int64))
    expected, memory = ours.run_clips(clips), None
    for i in range(4):
        found, memory = theirs.predict_next(frames[:, i], memory, pauses[:, i].numpy())
        assert np.allclose(found.margins, expected[:, i], atol=1e-4)
    assert np.abs(expected[:, 3] - theirs.predict(frames[:, 3]).margins).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, stn_px=24, grid=3),
        replace(OPTIONS, stn=False, sequence="mean", trunk="residual", depths=(1, 1)),
        replace(OPTIONS, stn_widths=(2, 2), stn_hidden=(4,), sequence="whole", trunk="four"),
    ],
    ids=["hybrid", "straightened larger", "without transformer and LSTM", "deep-emotion"],
)
def test_the_onnx_file_says_what_the_network_says(tmp_path, options):
    ours = predictor(options)

    difference = export(ours, tmp_path / "tiny.onnx", faces(), name="shipped")

    theirs = load(tmp_path / "tiny.onnx")
    assert difference <= 1e-4
    assert theirs.contract == replace(ours.contract, name="shipped")
    for count in (0, 1, 9):
        pairs = zip(ours.predict(faces(count))[:3], theirs.predict(faces(count))[:3], strict=True)
        for a, b in pairs:
            assert (a is None and b is None) or np.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("sequence", ["regions", "rows"])
def test_the_steps_of_an_lstm_over_a_face_sum_to_the_margins_less_the_bias(tmp_path, sequence):
    ours = predictor(replace(OPTIONS, sequence=sequence))
    ours.contract = replace(ours.contract, flip=False)

    export(ours, tmp_path / "m.onnx", faces())

    found = load(tmp_path / "m.onnx").predict(faces())
    bias = ours.model.svm.bias.detach().numpy()
    assert found.steps.shape == (9, 4 if sequence == "regions" else 2, 7)
    assert np.allclose(found.steps.sum(1) + bias, found.margins, atol=1e-4)
    assert np.ptp(found.steps, axis=1).max() > 1e-3


def test_a_model_without_an_lstm_over_the_face_has_no_steps(tmp_path):
    export(predictor(replace(OPTIONS, sequence="mean")), tmp_path / "m.onnx", faces())

    assert load(tmp_path / "m.onnx").predict(faces()).steps is None


def test_a_graph_that_disagrees_is_not_written(tmp_path, monkeypatch):
    from facetell import export as module

    other = predictor(seed=1)
    true_graph_of = module.graph_of
    monkeypatch.setattr(
        module, "graph_of", lambda _, contract: true_graph_of(other.model, contract)
    )

    with pytest.raises(ExportError, match=r"agree with PyTorch within 0\.0001") as caught:
        export(predictor(), tmp_path / "tiny.onnx", faces())

    assert caught.value.actual > 1e-4
    assert not list(tmp_path.iterdir())


def test_without_faces_nothing_is_exported(tmp_path):
    with pytest.raises(ExportError, match="real faces"):
        export(predictor(), tmp_path / "tiny.onnx", faces(0))


def test_the_file_holds_no_trace_of_the_machine(tmp_path):
    export(predictor(), tmp_path / "tiny.onnx", faces())

    assert b"facetell/model" not in (tmp_path / "tiny.onnx").read_bytes()


def test_a_model_that_saw_copies_of_its_judges_is_not_exported(tmp_path):
    ours = predictor()
    ours.contract = replace(ours.contract, protocol="leaky-80-10-10")

    with pytest.raises(ExportError, match="honest protocol"):
        export(ours, tmp_path / "tiny.onnx", faces())

    assert not (tmp_path / "tiny.onnx").exists()
