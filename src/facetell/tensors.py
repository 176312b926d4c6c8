"""Faces -> the float32 tensor a model reads. The only preprocessing there is.

Training, evaluation and runtime all call `to_tensor` with the model's contract.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.errors import InputError

__all__ = ["grey", "normalise", "to_tensor"]


def grey(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rec. 601 luma of RGB faces: (..., 3) -> (...), uint8, rounded.

    A face whose three channels are equal comes back unchanged.
    """
    weights = np.array([19595, 38470, 7471], np.uint32)  # 16-bit fixed point, sums to 65536
    return np.asarray((faces @ weights + 32768) >> 16, np.uint8)


def normalise(faces: NDArray[np.uint8], contract: Contract) -> NDArray[np.float32]:
    """(N, S, S) grey or (N, S, S, 3) RGB uint8 -> (N, C, S, S) float32, mean 0, deviation 1."""
    if contract.channels == 1:
        planes = faces if faces.ndim == 3 else grey(faces)
        planes = planes[:, None]  # (N, 1, S, S)
    else:
        rgb = faces if faces.ndim == 4 else np.repeat(faces[..., None], 3, axis=3)
        planes = rgb.transpose(0, 3, 1, 2)  # (N, 3, S, S)
    shape = (1, contract.channels, 1, 1)
    scale = (1 / (255 * np.array(contract.std, np.float64))).astype(np.float32).reshape(shape)
    shift = (np.array(contract.mean) / np.array(contract.std)).astype(np.float32).reshape(shape)
    return np.asarray(planes.astype(np.float32) * scale - shift)


def to_tensor(faces: NDArray[np.uint8], contract: Contract) -> NDArray[np.float32]:
    """Faces as a model reads them.

    Args:
        faces: uint8, (B, S, S) grey or (B, S, S, 3) RGB. S is `contract.face_px`.

    Returns:
        (B, 1, C, S, S) float32: each face is a clip of one frame.

    Raises:
        InputError: another dtype, size or number of axes.
    """
    faces = np.asarray(faces)
    side = contract.face_px
    if faces.dtype != np.uint8 or faces.shape[1:] not in ((side, side), (side, side, 3)):
        raise InputError(
            f"faces must be uint8 RGB of shape (N, {side}, {side}, 3), "
            f"got {faces.dtype} of shape {faces.shape}. "
            "Read images with read_image() and cut faces out with crop_faces().",
            expected=(side, side, 3),
            actual=faces.shape,
        )
    return normalise(faces, contract)[:, None]
