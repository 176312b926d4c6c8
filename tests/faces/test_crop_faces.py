import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facetell.contract import Contract
from facetell.faces.crop import crop_faces, crop_quads
from facetell.results import Detection


def contract(**values: object) -> Contract:
    return Contract(name="test", **values)


def face(box, eyes=()) -> Detection:
    return Detection(box_xyxy=box, score=0.9, landmarks_xy=eyes)


def coordinates(height: int, width: int) -> np.ndarray:
    """An image whose red is x and whose green is y, so that a crop shows where it came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, 0 * x], 2).astype(np.uint8)


def test_no_detections_give_no_crops():
    assert crop_faces(coordinates(9, 9), (), contract()).shape == (0, 48, 48, 3)
    assert crop_quads((), contract()).shape == (0, 4, 2)


def test_an_upright_crop_of_its_own_size_is_a_slice_of_the_image():
    image = np.random.default_rng(0).integers(0, 256, (120, 140, 3), np.uint8)
    crop = crop_faces(image, [face((30.0, 20.0, 78.0, 68.0))], contract())[0]
    assert (crop == image[20:68, 30:78]).all()


def test_the_side_follows_the_longer_side_and_the_margin():
    quad = crop_quads([face((10.0, 20.0, 30.0, 60.0))], contract(crop_margin=0.25))[0]
    assert quad.tolist() == [[-10, 10], [50, 10], [50, 70], [-10, 70]]


@pytest.mark.parametrize("degrees", [-40, -10, 0, 25, 90, 170])
def test_eyes_lie_level_after_alignment_and_as_they_were_without(degrees):
    angle = math.radians(degrees)
    step = np.array([math.cos(angle), math.sin(angle)]) * 10
    left, right = np.array([100, 100]) - step, np.array([100, 100]) + step
    tilted = face((75.0, 75.0, 125.0, 125.0), (tuple(left), tuple(right)))
    upper_left, upper_right, _, lower_left = crop_quads([tilted], contract())[0]
    down = lower_left - upper_left
    assert abs(np.dot(right - left, down)) < 1e-6
    assert np.dot(right - left, upper_right - upper_left) > 0
    flat = crop_quads([tilted], contract(align=False))[0]
    assert flat.tolist() == [[75, 75], [125, 75], [125, 125], [75, 125]]


def test_eyes_of_a_profile_do_not_turn_the_crop():
    profile = face((0.0, 0.0, 100.0, 100.0), ((50.0, 40.0), (52.0, 50.0)))
    assert crop_quads([profile], contract())[0].tolist() == [[0, 0], [100, 0], [100, 100], [0, 100]]


@settings(deadline=None, max_examples=60)
@given(
    side=st.floats(20, 150),
    x=st.floats(90, 160),
    y=st.floats(90, 160),
    degrees=st.floats(-45, 45),
    face_px=st.sampled_from([24, 48, 112]),
)
def test_crop_then_map_back_finds_the_pixels(side, x, y, degrees, face_px):
    angle = math.radians(degrees)
    eye = np.array([math.cos(angle), math.sin(angle)]) * side * 0.18
    eyes = (tuple(np.array([x, y]) - eye), tuple(np.array([x, y]) + eye))
    found = face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), eyes)
    settings_ = contract(face_px=face_px)
    crop = crop_faces(coordinates(250, 250), [found], settings_)[0].astype(float)
    quad = crop_quads([found], settings_)[0]
    share = (np.arange(face_px) + 0.5) / face_px
    u, v = np.meshgrid(share, share)
    where = quad[0] + u[..., None] * (quad[1] - quad[0]) + v[..., None] * (quad[3] - quad[0]) - 0.5
    inside = ((where > 2) & (where < 247)).all(axis=2)
    # Rounding to 8 bits, up to three times and once more inside the resampling; and a shrunk
    # region's size is a whole number.
    assert np.abs(crop[..., :2] - where)[inside].max() < 2 + side / face_px / 4


def test_beyond_the_border_the_border_repeats():
    image = np.full((100, 100, 3), 90, np.uint8)
    boxes = [(-30.0, -30.0, 30.0, 30.0), (80.0, 40.0, 300.0, 260.0), (-500.0, -500.0, 600.0, 600.0)]
    eyes = ((-10.0, 0.0), (10.0, 7.0))
    crops = crop_faces(image, [face(box, eyes) for box in boxes], contract())
    assert (crops == 90).all()


def test_shrinking_is_antialiased_with_and_without_a_turn():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    level = face((50.0, 50.0, 550.0, 550.0))
    tilted = face((50.0, 50.0, 550.0, 550.0), ((200.0, 250.0), (400.0, 320.0)))
    crops = crop_faces(stripes, [level, tilted], contract()).astype(int)
    assert np.abs(crops - 127).max() < 12


def test_a_turned_photo_gives_the_same_aligned_crop():
    rng = np.random.default_rng(2)
    smooth = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((200, 200))
    eyes = ((85.0, 90.0), (115.0, 90.0))
    upright = crop_faces(np.asarray(smooth), [face((60.0, 60.0, 140.0, 140.0), eyes)], contract())
    turned = smooth.rotate(30, Image.Resampling.BICUBIC)  # counter-clockwise about (100, 100)
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    moved = tuple(
        (100 + c * (x - 100) + s * (y - 100), 100 - s * (x - 100) + c * (y - 100)) for x, y in eyes
    )
    again = crop_faces(np.asarray(turned), [face((60.0, 60.0, 140.0, 140.0), moved)], contract())
    assert np.abs(upright.astype(int) - again).mean() < 2


def test_a_small_face_is_enlarged_and_a_point_survives():
    image = coordinates(60, 60)
    crops = crop_faces(
        image, [face((20.0, 20.0, 30.0, 30.0)), face((5.0, 5.0, 5.0, 5.0))], contract()
    )
    assert crops.shape == (2, 48, 48, 3)
    assert np.abs(crops[0, 24, 24, :2].astype(int) - 25).max() <= 1
