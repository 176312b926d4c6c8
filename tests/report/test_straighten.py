import numpy as np
import pytest
from scipy import ndimage

from facetell.report.straighten import describe_maps, quadrilateral, straighten

IDENTITY = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)


def faces(n=3, side=16, channels=None, seed=0):
    shape = (n, side, side) if channels is None else (n, side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_identity_changes_nothing(channels):
    given = faces(channels=channels)

    np.testing.assert_array_equal(straighten(given, np.repeat(IDENTITY, 3, axis=0)), given)


def test_a_mirror_map_mirrors():
    given = faces(1)

    straight = straighten(given, np.array([[[-1, 0, 0], [0, 1, 0]]]))

    np.testing.assert_array_equal(straight, given[:, :, ::-1])


def test_a_quarter_turn_turns():
    given = faces(1)

    straight = straighten(given, np.array([[[0, 1, 0], [-1, 0, 0]]]))

    # Output (x, y) reads input (y, -x): row r, column c reads row S - 1 - c, column r.
    np.testing.assert_array_equal(straight[0], np.rot90(given[0], -1))


def test_a_shift_by_one_pixel_moves_the_face_and_leaves_black():
    given = faces(1)

    straight = straighten(given, np.array([[[1, 0, 2 / 16], [0, 1, 0]]]))

    np.testing.assert_array_equal(straight[:, :, :-1], given[:, :, 1:])
    assert (straight[:, :, -1] == 0).all()


def test_any_map_equals_scipys_interpolation():
    given, rng = faces(5), np.random.default_rng(1)
    theta = IDENTITY + rng.normal(0, 0.3, (5, 2, 3))
    centres = (np.arange(16) + 0.5) / 8 - 1
    for face, map_, straight in zip(given, theta, straighten(given, theta), strict=True):
        expected = np.zeros((16, 16))
        for row, y in enumerate(centres):
            for column, x in enumerate(centres):
                u, v = map_ @ [x, y, 1]
                at = [[(v + 1) * 8 - 0.5], [(u + 1) * 8 - 0.5]]
                padded = np.pad(face.astype(float), 1)
                near = np.clip(np.array(at) + 1, 0, 17)
                expected[row, column] = ndimage.map_coordinates(padded, near, order=1)[0]

        np.testing.assert_allclose(straight, expected, atol=0.5001)


@pytest.mark.torch
def test_any_map_equals_grid_sample_of_torch():
    torch = pytest.importorskip("torch")
    given, rng = faces(4, channels=3), np.random.default_rng(2)
    theta = (IDENTITY + rng.normal(0, 0.4, (4, 2, 3))).astype(np.float32)
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(theta), (4, 3, 16, 16), align_corners=False
    )
    planes = torch.from_numpy(given.transpose(0, 3, 1, 2)).float()
    expected = torch.nn.functional.grid_sample(planes, grid, align_corners=False)

    straight = straighten(given, theta)

    np.testing.assert_allclose(straight, expected.numpy().transpose(0, 2, 3, 1), atol=0.51)


def test_faces_far_outside_are_black():
    straight = straighten(faces(1), np.array([[[1, 0, 9], [0, 1, -9]]]))

    assert (straight == 0).all()


def test_corners_of_a_zoom_lie_inside_the_face():
    theta = np.array([[[0.5, 0, 0], [0, 0.5, 0]]])

    assert quadrilateral(theta, 48)[0].tolist() == [[12, 12], [36, 12], [36, 36], [12, 36]]


def test_corners_of_a_shift_leave_the_face():
    theta = np.array([[[1, 0, 0.5], [0, 1, 0]]])

    assert quadrilateral(theta, 40)[0, 1].tolist() == [50, 0]


@pytest.mark.parametrize("turn", [-50, 0, 7, 90])
@pytest.mark.parametrize("zoom", [0.8, 1, 2])
def test_maps_are_described_as_they_were_built(turn, zoom):
    a = np.radians(turn)
    map_ = np.array([[[np.cos(a), -np.sin(a), 0.3], [np.sin(a), np.cos(a), -0.4]]])
    map_[:, :, :2] /= zoom

    found = describe_maps(map_, 48)

    assert found.zoom == pytest.approx([zoom])
    assert found.turn_deg == pytest.approx([turn])
    assert found.shift_px == pytest.approx([12])


def test_a_turned_area_has_its_upper_right_corner_lower():
    a = np.radians(10)
    map_ = np.array([[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0]]])
    left, right = quadrilateral(map_, 48)[0, :2]

    assert describe_maps(map_, 48).turn_deg > 0  # clockwise
    assert right[1] > left[1]
