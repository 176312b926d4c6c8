import numpy as np
import pytest

from facetell.contract import Contract
from facetell.errors import ImageError, InputError
from facetell.faces.crop import crop_faces
from facetell.results import Detection
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.follower import Follower
from facetell.runtime.scenes import is_cut, movement, thumbnail
from facetell.runtime.session import load

RATE = 25


class Painted:
    """Finds squares of pure red levels 250 to 255 in a dark picture: faces to be."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def detect(self, image: np.ndarray) -> tuple[Detection, ...]:
        self.shapes.append(image.shape[:2])
        found = []
        for level in range(250, 256):
            ys, xs = np.nonzero(image[..., 0] == level)
            if len(ys) > 20:
                box = (float(xs.min()), float(ys.min()), xs.max() + 1.0, ys.max() + 1.0)
                found.append(Detection(box_xyxy=box, score=0.9))
        return tuple(found)


def frame(*places: tuple[float, float, int], size: int = 40, shape=(240, 320)) -> np.ndarray:
    """Squares at x, y in red level; the ground has a texture that does not move."""
    image = np.random.default_rng(9).integers(0, 90, (*shape, 3), np.uint8)
    for x, y, level in places:
        image[round(y) : round(y) + size, round(x) : round(x) + size] = (level, 200, 0)
    return image


@pytest.fixture
def follow(tiny_model_path):
    def make(**options):
        return Follower(Analyzer(tiny_model_path, detector=Painted(), threads=1), **options)

    return make


def test_people_are_numbered_and_readings_carry_time_and_source(follow):
    follower = follow(source="a.mp4")
    for i in range(10):
        reading = follower.read(frame((50 + 3 * i, 100, 255), (200, 60, 251)), i / RATE)
        assert (reading.source, reading.time_s, reading.model) == ("a.mp4", i / RATE, "tiny")
        assert sorted(face.person for face in reading.faces) == [1, 2]
        mine = next(face for face in reading.faces if face.box_xyxy[0] < 150)
        assert mine.box_xyxy[0] == pytest.approx(50 + 3 * i, abs=3)
        assert mine.person == next(f.person for f in reading.faces if f.box_xyxy[0] < 150)


def test_a_frame_without_faces_is_an_answer(follow):
    reading = follow().read(frame(), 0.0)
    assert (reading.faces, reading.error, reading.time_s) == ((), None, 0.0)


def test_whole_frames_are_searched_seldom_and_windows_in_between(follow):
    follower = follow()
    for i in range(2 * RATE):
        follower.read(frame((40 + 2 * i, 100, 255)), i / RATE)
    whole = [shape for shape in follower.analyzer.detector.shapes if shape == (240, 320)]
    windows = [shape for shape in follower.analyzer.detector.shapes if shape != (240, 320)]
    assert len(whole) == follower.searched == pytest.approx(2 / 0.5, abs=1)
    assert len(windows) >= 2 * RATE - 1
    assert max(max(shape) for shape in windows) <= 110


def test_a_still_picture_is_searched_even_less(follow):
    follower = follow()
    for i in range(6 * RATE):
        follower.read(frame((100, 100, 255)), i / RATE)
    assert follower.searched <= 4


def test_a_newcomer_is_found_within_half_a_second(follow):
    follower = follow()
    for i in range(3 * RATE):
        places = [(60.0, 100.0, 255)] + [(200.0, 20.0 + i, 252)] * (i >= RATE + 2)
        reading = follower.read(frame(*places), i / RATE)
        if i >= RATE + 2 + 0.5 * RATE:
            assert len(reading.faces) == 2


def test_an_occluded_person_keeps_the_number_and_is_not_shown_meanwhile(follow):
    follower = follow()
    for i in range(3 * RATE):
        hidden = RATE <= i < RATE + 20
        reading = follower.read(frame(*[(60.0 + i, 100.0, 255)] * (not hidden)), i / RATE)
        assert [face.person for face in reading.faces] == ([] if hidden else [1])


def test_a_cut_begins_with_new_people(follow):
    follower = follow()
    before, after = frame((60, 100, 255)), frame((60, 100, 255))
    after[..., 1] = 90 - after[::-1, ::-1, 1]
    after[:120, :, 1] += 120
    for i in range(10):
        reading = follower.read(before if i < 5 else after, i / RATE)
        assert [face.person for face in reading.faces] == [1 if i < 5 else 2]


def test_scores_without_smoothing_are_the_models_own(follow, tiny_model_path):
    follower = follow(steady=False)
    model = load(tiny_model_path, threads=1)
    for i in range(5):
        image = frame((60 + i, 100, 255))
        (face,) = follower.read(image, i / RATE).faces
        detection = Detection(box_xyxy=face.box_xyxy, score=1.0, landmarks_xy=face.landmarks_xy)
        expected = model.predict(crop_faces(image, [detection], model.contract)).scores[0]
        assert np.allclose(list(face.scores.values()), expected, atol=1e-5)
        assert face.label == max(face.scores, key=face.scores.get)


def test_a_model_with_an_lstm_over_frames_remembers_each_person_by_itself(make_model, tmp_path):
    path = make_model(tmp_path / "frames.onnx", memory=3, theta=False)
    model = load(path, threads=1)
    follower = Follower(Analyzer(path, detector=Painted(), threads=1), steady=False)
    memories: dict[int, np.ndarray] = {}
    for i in range(20):  # the second person comes at the third frame, and is seen a little later
        places = [(60 + i, 100, 255), (160, 100, 252)][: 1 + (i >= 2)]
        image = frame(*places)
        for face in follower.read(image, i / RATE).faces:
            detection = Detection(box_xyxy=face.box_xyxy, score=1.0, landmarks_xy=face.landmarks_xy)
            before = memories.get(face.person)
            expected, memories[face.person] = model.predict_next(
                crop_faces(image, [detection], model.contract),
                before,
                np.array([0.0 if before is None else 1 / RATE]),
            )
            assert np.allclose(list(face.scores.values()), expected.scores[0], atol=1e-5)
    assert len(memories) == 2


def test_an_lstm_over_frames_that_cannot_go_from_frame_to_frame_is_refused_at_once():
    class Run:
        contract = Contract(name="run", memory=2)

        def predict(self, faces):
            raise AssertionError("read as stills")

    with pytest.raises(InputError, match=r"frame to frame, got run with .*Export it"):
        Follower(Analyzer(Run(), detector=Painted()))


def test_nobody_in_sight_of_a_model_with_an_lstm_over_frames_is_an_answer(make_model, tmp_path):
    path = make_model(tmp_path / "frames.onnx", memory=3, theta=False)
    follower = Follower(Analyzer(path, detector=Painted(), threads=1))
    assert follower.read(frame(), 0.0).faces == ()


def test_what_is_remembered_does_not_grow_with_the_number_of_people(follow):
    follower = follow()
    for i in range(60):
        follower.read(frame((10 + 4 * (i % 60), 100, 250 + i % 6)), 3.0 * i)
    assert len(follower._people) <= 2


def test_frames_that_come_too_early_and_impossible_settings_are_refused(follow):
    follower = follow()
    follower.read(frame(), 1.0)
    with pytest.raises(InputError, match=r"not before the last frame's 1\.0, got 0\.5"):
        follower.read(frame(), 0.5)
    with pytest.raises(InputError, match=r"time_s must be finite .* got nan"):
        follower.read(frame(), float("nan"))
    with pytest.raises(ImageError, match="an image array must be uint8"):
        follower.read(frame().astype(float), 2.0)
    with pytest.raises(InputError, match=r"search_s must be above 0 seconds, got 0"):
        follow(search_s=0)


def test_a_flash_is_no_cut_and_another_scene_is():
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 200, (18, 32, 1)).repeat(10, 0).repeat(10, 1) for _ in range(2))
    one, other = (np.uint8(np.broadcast_to(x, (180, 320, 3))) for x in (one, other))
    flash = np.uint8(np.clip(one.astype(int) + 50, 0, 255))
    assert not is_cut(thumbnail(one), thumbnail(flash))
    assert is_cut(thumbnail(one), thumbnail(other))
    assert not is_cut(thumbnail(np.zeros((9, 9, 3), np.uint8)), thumbnail(other))
    assert movement(thumbnail(one), thumbnail(one)) == 0
    assert thumbnail(np.full((1, 1, 3), 7, np.uint8)).tolist() == [[7.0] * 32] * 18
