import numpy as np
import pytest
from PIL import Image

from facetell.faces.crop import whole_face


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_a_face_of_the_right_size_is_not_touched():
    image = noise(48, 48)
    assert (whole_face(image, 48) == image).all()


@pytest.mark.parametrize("shape", [(1, 1), (48, 10), (10, 48), (100, 37), (7, 500), (1, 5000)])
@pytest.mark.parametrize("face_px", [8, 48, 112])
def test_every_shape_becomes_a_square(shape, face_px):
    face = whole_face(noise(*shape), face_px)
    assert face.shape == (face_px, face_px, 3)
    assert face.dtype == np.uint8


def test_grey_stays_grey():
    grey = np.repeat(noise(97, 61)[..., :1], 3, axis=2)
    face = whole_face(grey, 48)
    assert (face == face[..., :1]).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((480, 480, 3), np.uint8)
    stripes[:, ::2] = 255
    face = whole_face(stripes, 48).astype(int)
    assert np.abs(face - 127).max() <= 8


def test_oblong_images_keep_their_proportions_and_repeat_their_edges():
    image = np.zeros((40, 20, 3), np.uint8)
    image[:, :10] = 200
    face = whole_face(image, 40)
    assert (face[:, :20] == 200).all()
    assert (face[:, 20:] == 0).all()


def test_squaring_commutes_with_mirroring_and_turning():
    image = noise(60, 90)
    face = whole_face(image, 30).astype(int)
    mirrored = whole_face(image[:, ::-1], 30)[:, ::-1]
    turned = np.rot90(whole_face(np.rot90(image), 30), -1)
    assert np.abs(face - mirrored).max() <= 1
    assert np.abs(face - turned).max() <= 2


def test_resizing_agrees_with_pillow_for_a_square():
    image = noise(96, 96)
    expected = Image.fromarray(image).resize((48, 48), Image.Resampling.BICUBIC)
    assert np.abs(whole_face(image, 48).astype(int) - np.asarray(expected)).max() <= 1
