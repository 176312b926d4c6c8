import numpy as np
import pytest

from facetell.faces.detect import WholeImage
from facetell.results import Detection
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.explain import explain
from facetell.runtime.session import load

PHOTO = np.random.default_rng(2).integers(0, 256, (90, 120, 3)).astype(np.uint8)


class TwoFaces:
    def detect(self, image):
        eyes = ((65.0, 30.0), (85.0, 36.0))
        return (
            Detection(box_xyxy=(50.0, 10.0, 100.0, 70.0), score=0.9, landmarks_xy=eyes),
            Detection(box_xyxy=(5.0, 5.0, 35.0, 40.0), score=0.8),
        )


def test_the_crops_explained_are_the_crops_that_were_read(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector=TwoFaces(), threads=1)

    found = list(explain(analyzer.model, PHOTO, analyzer.read(PHOTO)))

    assert [one.number for one in found] == [1, 2]
    np.testing.assert_array_equal(
        np.stack([one.crop for one in found]), analyzer.prepare(PHOTO).crops
    )
    for one in found:
        assert one.occlusion.label == one.face.label
        assert one.occlusion.score == pytest.approx(one.face.scores[one.face.label], abs=1e-6)
        assert one.theta.shape == (2, 3)


def test_an_image_that_is_a_face_is_explained_as_a_whole(tiny_model_path):
    analyzer = Analyzer(tiny_model_path, detector="none", threads=1)
    assert isinstance(analyzer.detector, WholeImage)

    (found,) = explain(analyzer.model, PHOTO, analyzer.read(PHOTO), whole=True)

    np.testing.assert_array_equal(found.crop, analyzer.prepare(PHOTO).crops[0])


def test_no_face_has_no_explanation(tiny_model_path):
    black = np.zeros((50, 50, 3), np.uint8)
    analyzer = Analyzer(tiny_model_path, threads=1)

    assert list(explain(analyzer.model, black, analyzer.read(black))) == []


@pytest.mark.parametrize("steps", [0, 6])
def test_steps_are_there_where_the_file_has_them(make_model, tmp_path, steps):
    model = load(make_model(tmp_path / "m.onnx", theta=False, steps=steps), threads=1)
    analyzer = Analyzer(model, detector="none")

    (found,) = explain(model, PHOTO, analyzer.read(PHOTO), whole=True)

    assert found.theta is None
    assert (found.steps is None) == (steps == 0)
    if steps:
        assert found.steps.shape == (6, 7)


def test_the_bundled_paper_says_what_each_row_adds_and_straightens():
    model = load("paper", threads=1, flip=False)
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)

    found = model.predict(faces)

    offsets = found.margins - found.steps.sum(axis=1)
    assert found.steps.shape == (3, 6, 7)
    np.testing.assert_allclose(offsets, offsets[:1].repeat(3, 0), atol=1e-5)  # the SVM's bias
    assert np.ptp(found.steps, axis=1).max() > 0.01
