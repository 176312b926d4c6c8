from pathlib import Path

import numpy as np
import pytest

from facetell.contract import Contract
from facetell.errors import InputError
from facetell.predictor import Prediction, softmax
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.occlusion import hide, mean_drops, occlude, patches
from facetell.runtime.session import load

PORTRAITS = Path(__file__).parents[2] / "examples" / "four_portraits.jpg"
FACE = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)


class Reads:
    """A model that reads the mean brightness of one box for "happy", and nothing else."""

    contract = Contract(name="reads")

    def __init__(self, box, sign=1.0):
        self.box, self.sign, self.calls = box, sign, []

    def predict(self, faces):
        self.calls.append(len(faces))
        x1, y1, x2, y2 = self.box
        margins = np.zeros((len(faces), 7), np.float32)
        light = faces.reshape(len(faces), 48, 48, -1)[:, y1:y2, x1:x2].mean(axis=(1, 2, 3))
        margins[:, self.contract.labels.index("happy")] = 1 + self.sign * (light / 255 - 0.5)
        return Prediction(margins, softmax(margins, 1.0))


def lit(box, light=255):
    """A grey face on which that box alone is bright."""
    face = np.full((48, 48), 40, np.uint8)
    x1, y1, x2, y2 = box
    face[y1:y2, x1:x2] = light
    return face


@pytest.mark.parametrize("side", [8, 48, 64, 112])
def test_every_pixel_lies_under_four_patches_of_each_size_but_never_outside(side):
    for share in (1 / 6, 1 / 4, 1 / 3):
        boxes = patches(side, [share])
        over = np.zeros((side, side), int)
        for x1, y1, x2, y2 in boxes:
            assert 0 <= x1 < x2 <= side
            assert 0 <= y1 < y2 <= side
            over[y1:y2, x1:x2] += 1
        assert over.min() >= 4
        assert over.max() == 4


def test_hidden_boxes_have_the_mean_colour_and_the_rest_is_untouched():
    hidden = hide(FACE, np.array([[0, 0, 10, 20]]))[0]

    assert (hidden[:20, :10] == np.rint(FACE.mean(axis=(0, 1)))).all()
    assert (hidden[20:] == FACE[20:]).all()
    assert (hidden[:, 10:] == FACE[:, 10:]).all()


@pytest.mark.parametrize(
    "box", [(0, 0, 8, 8), (40, 0, 48, 8), (0, 40, 8, 48), (40, 40, 48, 48), (20, 20, 28, 28)]
)
def test_a_model_that_reads_one_corner_lights_only_that_corner(box):
    found = occlude(Reads(box), lit(box))

    x1, y1, x2, y2 = box
    y, x = np.unravel_index(found.drops.argmax(), found.drops.shape)
    assert x1 <= x < x2
    assert y1 <= y < y2
    reach = 16 + 6  # the largest patch that touches the box, and the smoothing
    far = np.ones((48, 48), bool)
    far[max(0, y1 - reach) : y2 + reach, max(0, x1 - reach) : x2 + reach] = False
    assert found.drops.max() > 0.05
    assert np.abs(found.drops[far]).max(initial=0) < 1e-6


def test_what_speaks_against_the_label_is_negative():
    box = (0, 0, 8, 8)

    found = occlude(Reads(box, sign=-1.0), lit(box), "happy")

    assert found.drops[:8, :8].max() < 0


def test_the_label_is_the_winner_unless_one_is_named():
    model = Reads((0, 0, 8, 8))

    assert occlude(model, lit(model.box)).label == "happy"
    assert occlude(model, lit(model.box), "sad").label == "sad"
    assert occlude(model, lit(model.box), "sad").drops[:8, :8].max() < 0
    with pytest.raises(InputError, match=r"expected one of the labels angry, .*, got 'joy'"):
        occlude(model, lit(model.box), "joy")


def test_the_lowest_score_is_that_under_the_patch_named():
    model = Reads((0, 0, 8, 8))
    face = lit(model.box)

    found = occlude(model, face)

    hidden = hide(face, np.array([found.lowest_box]))
    assert model.predict(hidden).scores[0, 3] == pytest.approx(found.lowest)
    assert found.lowest < found.score


def test_all_patches_are_read_in_one_call():
    model = Reads((0, 0, 8, 8))

    found = occlude(model, lit(model.box))

    assert model.calls == [found.patches + 1] == [300]


def test_a_mean_map_is_the_mean_of_the_maps():
    model, steps = Reads((0, 0, 8, 8)), []
    faces = np.stack([lit(model.box), lit(model.box, 120)])

    mean = mean_drops(model, faces, "happy", progress=lambda: steps.append(1))

    each = [occlude(model, face, "happy").drops for face in faces]
    np.testing.assert_allclose(mean, np.mean(each, axis=0))
    assert len(steps) == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_models_are_explained(make_model, tmp_path, channels):
    model = load(make_model(tmp_path / "m.onnx", channels=channels), threads=1)

    found = occlude(model, FACE)

    prediction = model.predict(FACE[None])
    assert found.score == pytest.approx(prediction.scores.max())
    assert found.drops.shape == (48, 48)
    assert np.isfinite(found.drops).all()


def test_a_model_with_drawn_weights_has_another_map(monkeypatch):
    """The sanity check of Adebayo et al. 2018: a map that ignores the weights explains nothing."""
    onnx = pytest.importorskip("onnx")
    from onnx import numpy_helper

    from facetell.runtime.session import locate

    trained = load("compact", threads=1, flip=False)
    graph = onnx.load(locate("compact"))
    rng = np.random.default_rng(0)
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            drawn = rng.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(drawn, tensor.name))
    monkeypatch.setattr(
        "facetell.runtime.session.open_graph",
        lambda path, *, threads: _session(graph.SerializeToString()),
    )
    drawn_model = load("compact", threads=1, flip=False)
    face = Analyzer(trained, threads=1).prepare(PORTRAITS).crops[1]

    real = occlude(trained, face, shares=[1 / 4])
    other = occlude(drawn_model, face, real.label, shares=[1 / 4])

    assert real.drops.max() > 0.1
    assert np.corrcoef(real.drops.ravel(), other.drops.ravel())[0, 1] < 0.5
    assert np.abs(other.drops).max() < real.drops.max() / 2


def _session(graph):
    from facetell.graph import import_runtime

    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
