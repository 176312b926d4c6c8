import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facetell.draw import colour_of
from facetell.labels import EMOTIONS
from facetell.report.timeline import Timeline, draw_timeline, write_timeline
from facetell.results import Face, Reading


def face(person: int | None, label: str, sure: float = 0.7) -> Face:
    scores = {name: sure if name == label else (1 - sure) / 6 for name in EMOTIONS}
    return Face(
        box_xyxy=(10.0 * (person or 0), 10.0, 10.0 * (person or 0) + 8, 20.0),
        label=label,
        scores=scores,
        margins=scores,
        margin=0.1,
        person=person,
    )


def reading(time_s: float, *faces: Face) -> Reading:
    return Reading(source="a.mp4", size_wh=(100, 50), faces=faces, model="m", time_s=time_s)


def timeline(*readings: Reading) -> Timeline:
    out = Timeline(EMOTIONS)
    for one in readings:
        out.add(one)
    return out.finish()


def test_nothing_read_is_nobody():
    found = timeline()
    assert (found.people, found.frames, found.end_s) == ({}, 0, 0.0)


def test_a_label_lasts_until_the_next_frame_whatever_the_rate():
    found = timeline(
        reading(0.0, face(1, "happy")),
        reading(1.0, face(1, "happy")),
        reading(3.0, face(1, "sad"), face(2, "fear")),
        reading(3.5, face(2, "fear")),
    )
    one, two = found.people[1], found.people[2]
    assert one.label_s == pytest.approx({"happy": 3.0, "sad": 0.5})
    assert one.shares()[0] == ("happy", pytest.approx(3 / 3.5))
    assert (one.first_s, one.last_s) == (0.0, 3.0)
    assert two.seen_s == pytest.approx(0.5 + 0.5), "the last frame is as long as the one before"


def test_a_person_out_of_sight_leaves_a_gap():
    found = timeline(*(reading(i / 10, *[face(1, "sad")] * (not 10 <= i < 20)) for i in range(30)))
    steps = sorted(found.people[1].steps)
    middles = [(step + 0.5) * found.step_s for step in steps]
    assert not [t for t in middles if 1.05 < t < 1.95]
    assert found.people[1].seen_s == pytest.approx(2.0)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0.001, 400), st.sampled_from(EMOTIONS)), max_size=60))
def test_seconds_are_neither_lost_nor_made(frames):
    found, time_s = Timeline(EMOTIONS), 0.0
    for step, label in frames:
        found.add(reading(time_s, face(1, label)))
        time_s += step
    if not frames:
        return
    found.add(reading(time_s))
    person = found.people[1]
    assert person.seen_s == pytest.approx(time_s)
    assert sum(seconds for seconds, _ in person.steps.values()) == pytest.approx(time_s)
    assert sum(s.sum() for _, s in person.steps.values()) == pytest.approx(time_s)
    assert len(person.steps) <= 1201


def test_memory_does_not_grow_with_the_clip():
    found = Timeline(EMOTIONS)
    for i in range(40_000):
        found.add(reading(i / 5, face(1, EMOTIONS[i % 7])))
    assert len(found.people[1].steps) <= 1201
    assert found.people[1].seen_s == pytest.approx(39_999 / 5)


def test_the_picture_shows_the_scores_in_their_colours():
    found = timeline(*(reading(i / 10, face(1, "happy" if i < 50 else "sad")) for i in range(100)))
    picture = draw_timeline(found, title="a.mp4")
    early, late = picture[96:212, 400], picture[96:212, 1200]  # one person's band
    for column, label in ((early, "happy"), (late, "sad")):
        share = (column == colour_of(label)).all(axis=1).mean()
        assert share == pytest.approx(0.7, abs=0.04)
    assert (picture[236, 400] == colour_of("happy")).all(), "the ribbon names the label"
    assert (picture[236, 1200] == colour_of("sad")).all()


def test_each_person_has_a_band_up_to_a_number():
    heights = []
    for people in (0, 1, 2, 24, 60):
        faces = [face(n, "happy") for n in range(1, people + 1)]
        heights.append(draw_timeline(timeline(*(reading(i / 10, *faces) for i in range(3)))).shape)
    assert {shape[1:] for shape in heights} == {(1400, 3)}
    assert heights[0] == heights[1] < heights[2] < heights[3] == heights[4]


def test_portraits_are_kept_small_and_renewed_when_the_face_is_much_larger():
    image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    found = Timeline(EMOTIONS)
    sizes = []
    for i, side in enumerate((50, 55, 200, 150)):
        one = Face(
            box_xyxy=(100.0, 100.0, 100.0 + side, 100.0 + side),
            label="sad",
            scores=dict.fromkeys(EMOTIONS, 1 / 7),
            margins={},
            margin=0.0,
            person=1,
        )
        found.add(reading(i / 10, one), image)
        sizes.append(found.people[1].portrait_px)
        assert max(found.people[1].portrait.shape[:2]) <= 96
    assert sizes == [50, 50, 200, 200]


def test_the_picture_is_written_as_a_png(tmp_path):
    path = write_timeline(timeline(reading(0.0, face(None, "fear"))), tmp_path / "a.png", title="é")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
