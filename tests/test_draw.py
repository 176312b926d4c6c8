from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from facetell import draw
from facetell.draw import ClipDrawing, _place, _shared, draw_reading, write_annotated
from facetell.errors import InputError
from facetell.labels import EMOTIONS
from facetell.results import Face, Reading


def reading(*boxes, label="happy", source="") -> Reading:
    scores = {name: 0.7 if name == label else 0.05 for name in EMOTIONS}
    faces = tuple(
        Face(box_xyxy=box, label=label, scores=scores, margins=scores, margin=0.65) for box in boxes
    )
    return Reading(source=source, size_wh=(0, 0), faces=faces, model="m")


def test_a_photo_without_faces_is_copied():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    drawn = draw_reading(image, reading())
    assert (drawn == image).all()
    assert drawn is not image


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_boxes_show_on_any_background_and_the_face_stays_free(grey):
    image = np.full((400, 600, 3), grey, np.uint8)
    drawn = draw_reading(image, reading((200.0, 100.0, 300.0, 220.0)))
    assert drawn.shape == image.shape
    assert (image == grey).all()
    edge = drawn[150, 195:206].astype(int).sum(axis=1)
    assert np.ptp(edge) > 200
    assert (drawn[110:210, 210:290] == grey).all()


def test_small_pictures_are_enlarged_and_full_ones_get_a_strip():
    crop = np.full((48, 48, 3), 99, np.uint8)
    drawn = draw_reading(crop, reading((0.0, 0.0, 48.0, 48.0)))
    assert drawn.shape[1] == 336
    assert drawn.shape[0] > 336 + 30
    assert (drawn[20:300, 20:300] == 99).all()


@pytest.mark.parametrize("shape", [(320, 320), (33, 900), (900, 33), (2000, 3000)])
def test_boxes_reaching_out_of_any_picture_can_be_drawn(shape):
    image = np.zeros((*shape, 3), np.uint8)
    boxes = [(-50.0, -50.0, 20.0, 20.0), (shape[1] - 5.0, 1.0, shape[1] + 90.0, 80.0)]
    boxes += [(-900.0, -900.0, -800.0, -800.0), (5.2, 5.2, 5.4, 5.4)]
    assert draw_reading(image, reading(*boxes)).any()


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(-20, 980), st.floats(-20, 780), st.floats(10, 120)),
        max_size=8,
    )
)
def test_panels_stay_inside_and_off_each_other(places):
    faces = [(x, y, x + side, y + side * 1.3) for x, y, side in places]
    panels = _place([(150, 90)] * len(faces), faces, (1000, 800), 6)
    assert all(0 <= x1 < x2 <= 1000 and 0 <= y1 < y2 <= 800 for x1, y1, x2, y2 in panels)
    rectangles = np.array(panels).reshape(-1, 4)
    shared = _shared(rectangles, rectangles)
    assert (shared[~np.eye(len(panels), dtype=bool)] == 0).all()


def test_annotated_copies_are_written_whole_and_only_once(tmp_path):
    source, target = tmp_path / "photo.png", tmp_path / "new" / "photo.jpg"
    Image.new("RGB", (400, 400)).save(source)
    found = reading((100.0, 100.0, 200.0, 200.0), source=str(source))
    write_annotated(found, target)
    with Image.open(target) as written:
        assert written.size == (400, 400)
    with pytest.raises(InputError, match=r"photo\.jpg is there already\. Choose another name"):
        write_annotated(found, target)
    write_annotated(found, target, force=True)
    assert [path.name for path in target.parent.iterdir()] == ["photo.jpg"]


def test_frames_of_a_clip_are_drawn_in_one_size_with_or_without_faces():
    drawing = ClipDrawing()
    image = np.full((200, 300, 3), 99, np.uint8)
    boxes = [(20.0, 20.0, 60.0, 70.0), (120.0, 40.0, 180.0, 110.0)]
    shapes = {drawing.draw(image, reading(*boxes[:n])).shape for n in (0, 1, 2, 0)}
    assert shapes == {(400, 600, 3)}
    smaller = np.full((100, 150, 3), 99, np.uint8)
    assert drawing.draw(smaller, reading((10.0, 10.0, 30.0, 35.0))).shape == (400, 600, 3)


def test_a_clip_of_one_face_gets_a_strip_for_the_panel():
    drawing = ClipDrawing()
    crop = np.full((96, 96, 3), 99, np.uint8)
    first = drawing.draw(crop, reading((0.0, 0.0, 96.0, 96.0)))
    assert first.shape[0] > first.shape[1] + 50
    assert drawing.draw(crop, reading()).shape == first.shape


def test_a_panel_moves_with_its_face_and_does_not_jump():
    drawing = ClipDrawing()
    rng = np.random.default_rng(1)
    places = []
    for i in range(40):
        x, y = 300 + 4 * i + rng.normal(0, 2), 200 + rng.normal(0, 2)
        found = reading((x, y, x + 80, y + 100), (700.0 - 3 * i, 210.0, 780.0 - 3 * i, 310.0))
        drawing.draw(np.zeros((720, 1280, 3), np.uint8), found)
        places.append(drawing._beside[1])
    jumps = np.abs(np.diff(np.array(places), axis=0)).max(axis=1)
    assert (jumps > 0.3).sum() <= 2


def test_the_panel_names_the_person():
    image = np.zeros((400, 600, 3), np.uint8)
    box = (200.0, 100.0, 300.0, 220.0)
    plain = reading(box)
    seventh = Reading(
        source="", size_wh=(0, 0), model="m", faces=(replace(plain.faces[0], person=7),)
    )
    assert (draw_reading(image, plain) != draw_reading(image, seventh)).any()


def test_a_doubted_face_has_a_question_mark_and_labels_outside_its_set_are_grey():
    scores = {"happy": 0.6, "sad": 0.3, "angry": 0.1}
    face = Face(
        box_xyxy=(20, 20, 200, 200), label="happy", scores=scores, margins=scores, margin=0.3,
        set=("happy", "sad"), sure=False,
    )  # fmt: skip
    image = np.full((400, 400, 3), 90, np.uint8)

    def shown(face):
        reading = Reading(source="", size_wh=(400, 400), faces=(face,), model="m")
        return draw.draw_reading(image, reading)

    assert draw._title(1, face) == "1 happy?"
    grey = (shown(face) == draw._OUTSIDE).all(axis=2).sum()
    assert grey > 20
    assert (shown(replace(face, set=None)) == draw._OUTSIDE).all(axis=2).sum() < grey


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (None, ["happy", "sad", "angry"]),
        (("happy",), ["happy", "sad", "angry"]),
        (
            ("happy", "sad", "angry", "fear", "disgust"),
            ["happy", "sad", "angry", "fear", "disgust"],
        ),
        (("happy", "disgust"), ["happy", "sad", "angry", "disgust"]),
    ],
)
def test_a_panel_shows_the_whole_set_and_three_labels_at_least(monkeypatch, names, shown):
    scores = {"disgust": 0.05, "happy": 0.5, "sad": 0.25, "angry": 0.1, "fear": 0.1, "neutral": 0.0}
    face = Face(
        box_xyxy=(40, 40, 90, 90), label="happy", scores=scores, margins=scores, margin=0.25,
        set=names,
    )  # fmt: skip
    found = Reading(source="", size_wh=(400, 400), faces=(face,), model="m")
    written, text = [], ImageDraw.ImageDraw.text

    def note(self, xy, words, *rest, **options):
        written.append((words, xy[1]))
        text(self, xy, words, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", note)
    draw_reading(np.zeros((400, 400, 3), np.uint8), found)
    assert [words for words, _ in written if words in scores] == shown
    assert all(y < 400 - 11 for _, y in written)


def test_a_clips_panels_have_room_for_any_set_from_the_first_frame_on():
    few = reading((0.0, 0.0, 96.0, 96.0))
    few = replace(few, faces=(replace(few.faces[0], set=("happy",)),))
    all_ = replace(few, faces=(replace(few.faces[0], set=EMOTIONS),))
    style = draw._Style.for_size(400, 400)
    sizes = {draw._panel_size(1, one.faces[0], style, all_labels=True) for one in (few, all_)}
    assert len(sizes) == 1
    drawing, crop = ClipDrawing(), np.full((96, 96, 3), 99, np.uint8)
    first, second = drawing.draw(crop, few), drawing.draw(crop, all_)
    assert first.shape == second.shape
    assert (second[-1] == 0).all()  # the panel ends within the strip


@pytest.mark.parametrize(("shape", "most"), [((20_000, 1), 21_000), ((9, 2000), 4096)])
def test_a_thin_picture_is_not_enlarged_beyond_all_bounds(shape, most):
    image = np.zeros((*shape, 3), np.uint8)
    drawn = draw_reading(image, reading((0.0, 0.0, float(shape[1]), float(shape[0]))))
    assert max(drawn.shape) <= most
