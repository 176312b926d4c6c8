"""Descriptors against scikit-image on single faces, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest

from facetell.datasets.toon import make_toon
from facetell.errors import InputError
from facetell.evaluate import descriptors
from facetell.evaluate.descriptors import KINDS, describe

WIDTHS = {"hog": 900, "lbp": 2124, "gabor": 1440, "zernike": 490, "pixels": 2304}

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """(21, 48, 48) drawn faces."""
    return make_toon(3, per_emotion=1).faces()


@pytest.mark.parametrize("kind", KINDS)
def test_no_faces_make_an_empty_table_of_the_right_width(kind):
    found = describe(np.empty((0, 48, 48), np.uint8), kind)
    assert found.shape == (0, WIDTHS[kind])
    assert found.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_many_faces_at_once_are_described_as_one_by_one(kind, faces, monkeypatch):
    monkeypatch.setattr(descriptors, "_BLOCK", 5)
    together = describe(faces, kind)
    single = np.concatenate([describe(face[None], kind) for face in faces])
    np.testing.assert_allclose(together, single, atol=1e-4)
    assert together.shape == (len(faces), WIDTHS[kind])
    assert np.unique(together.round(3), axis=0).shape[0] == len(faces)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pixels"])
@pytest.mark.parametrize("side", [24, 47, 64])
def test_the_width_does_not_depend_on_the_side_of_the_faces(kind, side):
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side)).astype(np.uint8)
    assert describe(noise, kind).shape == (2, WIDTHS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_flat_face_is_described_by_finite_numbers(kind):
    assert np.isfinite(describe(np.full((1, 48, 48), 90, np.uint8), kind)).all()


@pytest.mark.parametrize("kind", ["gabor", "zernike", "pixels"])
def test_light_and_contrast_change_nothing(kind, faces):
    dimmed = (faces // 2 + 60).astype(np.uint8)
    brighter = ((faces // 2) * 2).astype(np.uint8)
    np.testing.assert_allclose(describe(dimmed, kind), describe(brighter, kind), atol=1e-3)


def test_hog_is_scikit_images_hog(faces):
    from skimage.feature import hog

    for row, face in zip(describe(faces[:3], "hog"), faces, strict=False):
        expected = hog(face, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2))
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_shares_of_the_binary_patterns_sum_to_one_in_every_cell(faces):
    cells = describe(faces, "lbp").reshape(len(faces), 36, 59)
    np.testing.assert_allclose(cells.sum(axis=2), 1, atol=1e-5)


def test_the_binary_patterns_of_a_cell_are_scikit_images(faces):
    from skimage.feature import local_binary_pattern

    pattern = local_binary_pattern(faces[0], 8, 1, "nri_uniform").astype(int)
    expected = np.bincount(pattern[8:16, 40:48].ravel(), minlength=59) / 64
    cells = describe(faces[:1], "lbp").reshape(6, 6, 59)
    np.testing.assert_allclose(cells[1, 5], expected, atol=1e-6)


def test_gabor_magnitudes_are_scikit_images(faces):
    from skimage.filters import gabor

    standard = (faces[0] - faces[0].mean()) / faces[0].std()
    magnitudes = describe(faces[:1], "gabor").reshape(6, 6, 5, 8)
    for scale, angle in ((0, 0), (0, 3), (2, 5), (4, 1)):
        frequency = 0.25 * 2 ** (-scale / 2)
        real, imaginary = gabor(standard, frequency, np.pi * angle / 8, mode="constant")
        expected = np.hypot(real, imaginary)[4::8, 4::8]
        np.testing.assert_allclose(magnitudes[:, :, scale, angle], expected, atol=1e-4)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_zernike_magnitudes_do_not_change_when_the_face_is_turned(turns, faces):
    turned = np.rot90(faces, turns, axes=(1, 2))
    upright, rotated = describe(faces, "zernike"), describe(turned, "zernike")
    whole, centre = slice(0, 49), slice(49 * 5, 49 * 6)
    np.testing.assert_allclose(rotated[:, whole], upright[:, whole], atol=1e-4)
    np.testing.assert_allclose(rotated[:, centre], upright[:, centre], atol=1e-4)
    assert np.abs(rotated - upright).max() > 0.01  # the other windows have moved


def test_zernike_polynomials_are_orthogonal_on_the_disk():
    basis = descriptors._zernike_polynomials(128).reshape(49, -1)
    products = np.abs(basis @ basis.conj().T)
    own = np.sqrt(np.diag(products))
    assert (products / np.outer(own, own) - np.eye(49)).max() < 0.05


def test_progress_ends_with_all_faces(faces):
    seen = []
    describe(faces, "pixels", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(21, 21)]


def test_an_unknown_kind_is_told_the_known_ones(faces):
    with pytest.raises(InputError, match="one of hog, lbp, gabor, zernike, pixels, got 'sift'"):
        describe(faces, "sift")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((2, 48, 48), np.float32), r"got float32 of shape \(2, 48, 48\)"),
        (np.zeros((2, 48, 48, 3), np.uint8), r"got uint8 of shape \(2, 48, 48, 3\)"),
        (np.zeros((2, 48, 40), np.uint8), "Pass dataset.faces"),
        (np.zeros((2, 16, 16), np.uint8), "S from 24 to 128 px"),
    ],
)
def test_faces_of_another_form_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        describe(wrong, "pixels")
