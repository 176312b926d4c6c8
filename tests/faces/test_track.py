import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facetell.faces.track import Tracker
from facetell.results import Detection

RATE = 30


def face(x: float, y: float, size: float = 60.0, score: float = 0.9) -> Detection:
    half_w, half_h = 0.4 * size, 0.5 * size
    return Detection(
        box_xyxy=(x - half_w, y - half_h, x + half_w, y + half_h),
        score=score,
        landmarks_xy=((x - 10, y - 5), (x + 10, y - 5)),
    )


def middle(detection: Detection) -> tuple[float, float]:
    x1, y1, x2, y2 = detection.box_xyxy
    return (x1 + x2) / 2, (y1 + y2) / 2


def numbers(tracker, faces, time_s, **options):
    return [someone.person for someone in tracker.update(faces, time_s, **options)]


def test_a_frame_without_faces_has_nobody():
    assert Tracker().update([], 0.0) == ()


def test_people_are_numbered_in_the_order_of_appearance():
    tracker = Tracker()
    assert numbers(tracker, [face(100, 100), face(300, 100)], 0.0) == [1, 2]
    assert numbers(tracker, [face(500, 100), face(302, 100), face(101, 100)], 0.03) == [3, 2, 1]


def test_without_newcomers_an_unknown_face_is_left_out():
    tracker = Tracker()
    tracker.update([face(100, 100)], 0.0)
    assert numbers(tracker, [face(400, 100), face(101, 100)], 0.03, newcomers=False) == [1]


def test_two_people_crossing_keep_their_numbers():
    tracker = Tracker()
    for i in range(61):
        left, right = face(100 + 8 * i, 200), face(580 - 8 * i, 215)
        found = [right, left] if i % 2 else [left, right]
        got = dict(zip(found, numbers(tracker, found, i / RATE), strict=True))
        assert (got[left], got[right]) == (1, 2)


def test_the_hidden_one_of_a_crossing_gets_the_number_back():
    """The left one walks behind the right one, and is not found while they overlap."""
    tracker = Tracker()
    hidden = 0
    for i in range(61):
        left, right = face(100 + 8 * i, 200), face(580 - 8 * i, 215)
        found = [right] if abs(left.box_xyxy[0] - right.box_xyxy[0]) < 50 else [left, right]
        hidden += len(found) == 1
        got = numbers(tracker, found, i / RATE)
        assert got == ([2] if len(found) == 1 else [1, 2])
    assert hidden >= 5


@pytest.mark.parametrize(("hidden_s", "number"), [(0.3, 1), (1.0, 1), (1.5, 2)])
def test_a_short_occlusion_keeps_the_number_and_a_long_one_does_not(hidden_s, number):
    tracker = Tracker()
    for i in range(15):
        tracker.update([face(100 + 2 * i, 100)], i / RATE)
    time_s = 14 / RATE
    for i in range(1, int(hidden_s * RATE)):
        assert tracker.update([], time_s + i / RATE) == ()
    back = face(128 + 0.4 * 60 * hidden_s, 100)
    assert numbers(tracker, [back], time_s + hidden_s) == [number]


def test_a_face_far_away_or_of_another_size_is_somebody_else():
    for other in (face(300, 100), face(100, 100, size=150)):
        tracker = Tracker()
        tracker.update([face(100, 100)], 0.0)
        assert numbers(tracker, [other], 1 / RATE) == [2]


def test_after_a_cut_nobody_is_known_and_numbers_are_not_used_again():
    tracker = Tracker()
    tracker.update([face(100, 100)], 0.0)
    tracker.forget()
    assert tracker.expect(0.03) == ()
    assert numbers(tracker, [face(100, 100)], 0.03) == [2]


def test_people_are_expected_where_they_are_going():
    tracker = Tracker()
    for i in range(20):
        tracker.update([face(100 + 6 * i, 100)], i / RATE)
    (someone,) = tracker.expect(21 / RATE)
    assert middle(someone.detection)[0] == pytest.approx(100 + 6 * 21, abs=3)
    assert tracker.expect(21 / RATE) == (someone,), "asking changes nothing"


def test_tremble_is_smoothed_and_movement_followed():
    rng = np.random.default_rng(3)
    shake = rng.normal(0, 1.8, (90, 2))
    for speed in (0.0, 4.0):
        tracker = Tracker()
        off = []
        for i, (dx, dy) in enumerate(shake):
            x = 100 + speed * i
            (someone,) = tracker.update([face(x + dx, 100 + dy)], i / RATE)
            off.append(np.subtract(middle(someone.detection), (x, 100)))
        assert np.std(off[10:]) < 0.75 * np.std(shake[10:])
        assert np.abs(np.mean(off[10:], axis=0)).max() < 1.0


def test_landmarks_move_with_the_box():
    tracker = Tracker()
    tracker.update([face(100, 100)], 0.0)
    (someone,) = tracker.update([face(106, 100)], 1 / RATE)
    x, _ = middle(someone.detection)
    assert someone.detection.landmarks_xy[0][0] == pytest.approx(x - 10)


@settings(deadline=None, max_examples=50)
@given(
    paths=st.lists(
        st.tuples(st.floats(0, 2000), st.floats(0, 2000), st.floats(5, 400)), max_size=6
    ),
    step=st.floats(0, 3),
)
def test_every_face_has_one_number_and_no_two_share_one(paths, step):
    tracker = Tracker()
    for i in range(4):
        faces = [face(x + 3 * i, y, size) for x, y, size in paths]
        seen = tracker.update(faces, i * step)
        assert len({someone.person for someone in seen}) == len(faces)
        assert np.isfinite([someone.detection.box_xyxy for someone in seen]).all()
