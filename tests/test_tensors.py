"""Faces to tensors: the only preprocessing."""

import numpy as np
import pytest

from facetell.contract import Contract
from facetell.errors import InputError
from facetell.tensors import grey, to_tensor

GREY = Contract(name="g", face_px=12, mean=(0.4,), std=(0.2,))
COLOUR = Contract(name="c", face_px=12, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def faces(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("contract", [GREY, COLOUR])
def test_normalising_is_the_slow_loop(contract):
    x = faces(2, 12, 12, 3)
    out = to_tensor(x, contract)

    for n, c, i, j in np.ndindex(2, contract.channels, 12, 12):
        value = x[n, i, j, c] if contract.channels == 3 else grey(x[n, i, j])
        expected = (value / 255 - contract.mean[c]) / contract.std[c]
        assert out[n, 0, c, i, j] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("contract", [GREY, COLOUR])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_grey_faces_and_their_rgb_copies_give_the_same_tensor(contract, count):
    x = faces(count, 12, 12)

    out = to_tensor(x, contract)

    assert out.shape == (count, 1, contract.channels, 12, 12)
    assert out.dtype == np.float32
    assert np.array_equal(out, to_tensor(np.repeat(x[..., None], 3, 3), contract))


def test_luma_keeps_grey_and_weighs_green_most():
    ramp = np.arange(256, dtype=np.uint8)

    assert np.array_equal(grey(np.stack([ramp] * 3, 1)), ramp)
    assert grey(np.array([255, 0, 0], np.uint8)) == 76
    assert grey(np.array([0, 255, 0], np.uint8)) == 150
    assert grey(np.array([0, 0, 255], np.uint8)) == 29


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((8, 3, 12, 12), np.float32), np.zeros((2, 12, 12), np.float32), faces(12, 12),
        faces(2, 13, 12), faces(2, 12, 12, 4), faces(2, 3, 12, 12, 1),
    ],
)  # fmt: skip
def test_other_shapes_and_types_are_refused(bad):
    with pytest.raises(InputError, match=r"uint8 RGB of shape \(N, 12, 12, 3\), got"):
        to_tensor(bad, GREY)
