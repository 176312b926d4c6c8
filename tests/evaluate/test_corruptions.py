import numpy as np
import pytest

from facetell.errors import InputError
from facetell.evaluate.corruptions import catalogue, resample
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS, LIGHTING, corrupt, levels_id
from facetell.evaluate.corruptions.cover import EYES, MOUTH

#: These have nothing random, or nothing that every face shows.
SETTLED = {
    "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg", "darkness",
    "high_contrast", "resolution", "roll", "scale", "shear", "gamma",
}  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    """(9, 48, 48) smooth faces-like hills with some texture, 30 to 220."""
    rng = np.random.default_rng(0)
    hills = resample.resize(
        rng.uniform(60, 190, (9, 9, 9, 1)).astype(np.float32), resample.linear(48, 9)
    )
    return (hills[..., 0] + rng.uniform(-30, 30, (9, 48, 48))).astype(np.uint8)


@pytest.fixture(scope="module")
def coloured(faces):
    return np.stack([faces, faces[::-1], 255 - faces], axis=-1)


def test_the_fifteen_of_imagenet_c_come_first_and_every_one_has_five_levels():
    standard = [corruption.standard for corruption in CORRUPTIONS.values()]

    assert standard == [True] * 15 + [False] * 13
    assert all(len(set(corruption.levels)) == 5 for corruption in CORRUPTIONS.values())
    assert set(LIGHTING) < set(CORRUPTIONS)


def test_the_angle_and_the_shift_that_are_promised_are_levels():
    assert CORRUPTIONS["roll"].levels[1] == 20
    assert CORRUPTIONS["shift"].levels[2] == 0.1
    assert CORRUPTIONS["resolution"].levels[1:4] == (24, 16, 12)
    assert (CORRUPTIONS["scale"].levels[4], 1 / CORRUPTIONS["scale"].levels[4]) == (1.25, 0.8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_faces_yield_no_faces(name):
    assert corrupt(np.empty((0, 48, 48), np.uint8), name, 3).shape == (0, 48, 48)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("colour", [False, True])
def test_a_face_comes_out_the_same_alone_in_a_batch_and_in_any_order(name, colour, faces, coloured):
    given = coloured if colour else faces
    indices = np.arange(100, 109)
    order = np.array([3, 8, 0, 5])

    together = corrupt(given, name, 4, seed=1, indices=indices)

    assert together.shape == given.shape
    assert together.dtype == np.uint8
    shuffled = corrupt(given[order], name, 4, seed=1, indices=indices[order])
    np.testing.assert_array_equal(shuffled, together[order])
    alone = corrupt(given[2:3], name, 4, seed=1, indices=indices[2:3])
    np.testing.assert_array_equal(alone[0], together[2])


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - SETTLED))
def test_seed_and_index_draw_other_accidents(name, coloured):
    one = np.repeat(coloured[:1], 8, axis=0)

    made = corrupt(one, name, 4)

    assert (made[0] != made[1]).any()
    assert (corrupt(one, name, 4, seed=1) != made).any()


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"colour_cast"}))
def test_a_grey_face_is_treated_alike_with_one_channel_and_with_three(name, faces):
    rgb = np.repeat(faces[..., None], 3, axis=3)

    difference = corrupt(rgb, name, 3).astype(int) - corrupt(faces, name, 3)[..., None]

    assert np.abs(difference).max() <= (2 if name == "jpeg" else 1)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"elastic", "glass_blur"}))
def test_severity_five_changes_a_face_more_than_severity_one(name, faces):
    # Elastic's levels are the authors' own, and trade a pulled face for a wobbling one; glass
    # trades grains for a blur.
    mild, severe = (corrupt(faces, name, s).astype(float) for s in (1, 5))
    far = [np.abs(made - faces).mean() for made in (mild, severe)]
    alike = [np.corrcoef(made.ravel(), faces.ravel())[0, 1] for made in (mild, severe)]

    assert far[0] > 0
    # Frost puts ice of one lightness in the face's place: less alike, not farther away.
    assert alike[1] < alike[0] - 0.05 if name == "frost" else far[1] > 1.2 * far[0]


@pytest.mark.parametrize("side", [32, 64, 112])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_faces_of_any_side_are_taken(name, side):
    faces = np.random.default_rng(0).integers(0, 256, (2, side, side)).astype(np.uint8)

    assert corrupt(faces, name, 5).shape == (2, side, side)


def test_blur_grows_with_the_side_of_the_face():
    spread = {}
    for side in (48, 96):
        point = np.zeros((1, side, side), np.uint8)
        point[0, side // 2, side // 2] = 255
        found = corrupt(point, "defocus_blur", 5)[0].astype(float)
        place = np.arange(side) - side // 2
        spread[side] = np.sqrt((found.sum(axis=0) * place**2).sum() / found.sum())

    assert spread[96] / spread[48] == pytest.approx(2, rel=0.1)


def dot(row, column, side=48):
    """A face with a bright blob there."""
    down, across = np.mgrid[:side, :side]
    blob = np.exp(-((down - row) ** 2 + (across - column) ** 2) / 8)
    return np.rint(255 * blob).astype(np.uint8)[None]


def place_of(face):
    """Row and column of the blob, from the middle of the face."""
    weight = face.astype(float) ** 2
    down, across = np.mgrid[: len(face), : len(face)] - (len(face) - 1) / 2
    return np.array([(weight * down).sum(), (weight * across).sum()]) / weight.sum()


def test_roll_turns_by_its_angle_to_both_sides():
    above = np.repeat(dot(11.5, 23.5), 12, axis=0)  # 12 px above the middle

    angles = [np.rad2deg(np.arctan2(p[1], -p[0])) for p in map(place_of, corrupt(above, "roll", 2))]

    assert np.abs(angles) == pytest.approx(20, abs=0.3)
    assert min(angles) < 0 < max(angles)


def test_shift_moves_by_its_share_in_many_directions():
    middle = np.repeat(dot(23.5, 23.5), 12, axis=0)

    moves = np.array([place_of(face) for face in corrupt(middle, "shift", 3)])

    assert np.hypot(*moves.T) == pytest.approx(4.8, abs=0.1)
    assert (moves.min(axis=0) < -2).all()
    assert (moves.max(axis=0) > 2).all()


def test_scale_enlarges_and_shrinks():
    right = np.repeat(dot(23.5, 33.5), 12, axis=0)  # 10 px right of the middle

    found = {round(place_of(face)[1], 1) for face in corrupt(right, "scale", 5)}

    assert found == {8.0, 12.5}


def test_masks_cover_what_they_are_named_after():
    face = np.random.default_rng(0).integers(0, 256, (1, 48, 48)).astype(np.uint8)
    for name, place in (("eye_mask", EYES), ("mouth_mask", MOUTH)):
        covered = (corrupt(face, name, 3) != face)[0, :, 4:-4].mean(axis=1) > 0.9
        assert covered[int(48 * place)]
        assert covered.mean() == pytest.approx(CORRUPTIONS[name].levels[2], abs=0.03)


def test_half_a_face_is_covered_from_either_side():
    faces = np.random.default_rng(0).integers(0, 256, (12, 48, 48)).astype(np.uint8)

    covered = (corrupt(faces, "half_mask", 5) != faces).mean(axis=1) > 0.9  # (12, 48)

    assert covered.mean(axis=1) == pytest.approx(0.5, abs=0.02)
    assert {bool(row[0]) for row in covered} == {True, False}


def test_light_does_the_sums_that_its_levels_say():
    face = np.full((1, 48, 48), 100, np.uint8)
    face[0, :24] = 140

    assert corrupt(face, "brightness", 3)[0, [0, 47], 0].tolist() == [196, 156]
    assert corrupt(face, "darkness", 3)[0, [0, 47], 0].tolist() == [70, 50]
    assert corrupt(face, "contrast", 5)[0, [0, 47], 0].tolist() == [122, 118]
    assert corrupt(face, "high_contrast", 3)[0, [0, 47], 0].tolist() == [160, 80]


def test_a_colour_cast_tints_before_a_grey_model_sees_it():
    red = np.zeros((8, 48, 48, 3), np.uint8)
    red[..., 0] = 120

    tinted = corrupt(red, "colour_cast", 5)

    assert (tinted[..., 1:] == 0).all()
    gains = tinted[:, 0, 0, 0] / 120
    assert gains.min() < 0.8 < 1.2 < gains.max()
    assert (corrupt(np.full((8, 48, 48), 120, np.uint8), "colour_cast", 5) != 120).any()


def test_convolve_agrees_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    x = rng.random((2, 20, 20, 1)).astype(np.float32)
    kernels = rng.random((2, 5, 5))

    found = resample.convolve(x, kernels)

    for row in range(2):
        slow = ndimage.correlate(x[row, ..., 0], kernels[row], mode="nearest")
        np.testing.assert_allclose(found[row, ..., 0], slow, rtol=1e-4)


def test_sampling_agrees_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    x = rng.random((1, 20, 20, 1)).astype(np.float32)
    across, down = rng.uniform(-3, 23, (2, 1, 20, 20)).astype(np.float32)

    slow = ndimage.map_coordinates(x[0, ..., 0], [down[0], across[0]], order=1, mode="nearest")

    np.testing.assert_allclose(resample.sample(x, across, down)[0, ..., 0], slow, atol=1e-5)


@pytest.mark.parametrize(
    ("faces", "name", "severity", "message"),
    [
        (np.zeros((1, 48, 48), np.uint8), "rain", 1, "unknown corruption 'rain'; there are: gauss"),
        (np.zeros((1, 48, 48), np.uint8), "snow", 6, "severity must be 1 to 5, got 6"),
        (np.zeros((1, 48, 48)), "snow", 1, "must be uint8 .* got float64"),
        (np.zeros((1, 48, 40), np.uint8), "snow", 1, r"got uint8 of shape \(1, 48, 40\)"),
        (np.zeros((48, 48), np.uint8), "snow", 1, r"got uint8 of shape \(48, 48\)"),
    ],
)
def test_a_wrong_call_says_what_is_right(faces, name, severity, message):
    with pytest.raises(InputError, match=message):
        corrupt(faces, name, severity)


def test_other_levels_have_another_id(monkeypatch):
    before = levels_id()
    fewer = {name: kind for name, kind in CORRUPTIONS.items() if name != "snow"}
    monkeypatch.setattr(catalogue, "CORRUPTIONS", fewer)

    assert levels_id() != before
