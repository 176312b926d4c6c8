"""What a spatial transformer looked at: the sampled quadrilateral and the straightened face.

numpy only, so that a report needs no PyTorch. Coordinates follow `grid_sample` with
align_corners=False: -1 and 1 are the outer edges of the first and last pixel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Maps", "describe_maps", "quadrilateral", "straighten"]

#: Corners of the straightened face in [-1, 1], clockwise from the top left.
CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)


class Maps(NamedTuple):
    """Affine maps in words, each (N,).

    Attributes:
        zoom: enlargement of the middle of the face; above 1 the model looks closer.
        turn_deg: turn of the sampled area, clockwise in the image, degrees.
        shift_px: distance from the middle of the face to the middle of the area, px.
    """

    zoom: NDArray[np.float64]
    turn_deg: NDArray[np.float64]
    shift_px: NDArray[np.float64]


def quadrilateral(theta: NDArray[Any], side: float) -> NDArray[np.float64]:
    """(N, 4, 2) corners (x, y), px, of the areas that (N, 2, 3) maps sample from.

    The face covers 0 to `side`; corners run clockwise from the output's top left.

    >>> quadrilateral(np.array([[[1, 0, 0], [0, 1, 0]]]), 48)[0].tolist()
    [[0.0, 0.0], [48.0, 0.0], [48.0, 48.0], [0.0, 48.0]]
    """
    at = _apply(np.asarray(theta, np.float64), CORNERS)
    return (at + 1) * side / 2


def _apply(theta: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2, 3) maps of (P, 2) points -> (N, P, 2)."""
    return points @ theta[:, :, :2].transpose(0, 2, 1) + theta[:, None, :, 2]


def straighten(faces: NDArray[np.uint8], theta: NDArray[Any]) -> NDArray[np.uint8]:
    """Faces resampled under their maps, bilinear, black outside.

    Args:
        faces: (N, S, S) or (N, S, S, C) uint8.
        theta: (N, 2, 3), output-to-input coordinates in [-1, 1].

    Returns:
        The shape of `faces`, uint8.

    Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equations 1 and 5.
    """
    side = faces.shape[1]
    centres = (np.arange(side) + 0.5) * 2 / side - 1
    grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)  # (S * S, 2) as x, y
    at = (_apply(np.asarray(theta, np.float64), grid) + 1) * side / 2 - 0.5  # pixel indices
    planes = faces.reshape(len(faces), side, side, -1).astype(np.float64)
    out = _bilinear(planes, at)
    return np.rint(out).clip(0, 255).astype(np.uint8).reshape(faces.shape)


def _bilinear(planes: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, S, S, C) at (N, P, 2) fractional pixel indices (x, y) -> (N, P, C); 0 outside."""
    side = planes.shape[1]
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1), (0, 0)))  # a frame of zeros
    at = at.clip(-1, side) + 1
    whole = np.minimum(at.astype(np.int64), side)  # (N, P, 2)
    part = at - whole
    x, y = whole[..., 0], whole[..., 1]
    dx, dy = part[..., 0, None], part[..., 1, None]
    n = np.arange(len(planes))[:, None]
    top = padded[n, y, x] * (1 - dx) + padded[n, y, x + 1] * dx
    bottom = padded[n, y + 1, x] * (1 - dx) + padded[n, y + 1, x + 1] * dx
    return np.asarray(top * (1 - dy) + bottom * dy, np.float64)


def describe_maps(theta: NDArray[Any], side: float) -> Maps:
    """Zoom, turn and shift of (N, 2, 3) maps on faces of `side` px."""
    theta = np.asarray(theta, np.float64)
    area = np.abs(np.linalg.det(theta[:, :, :2]))
    # Rotation part of the 2 x 2 matrix [[a, b], [c, d]]: atan2(c - b, a + d).
    turn = np.arctan2(theta[:, 1, 0] - theta[:, 0, 1], theta[:, 0, 0] + theta[:, 1, 1])
    shift = np.linalg.norm(theta[:, :, 2], axis=1) * side / 2
    return Maps(1 / np.sqrt(np.maximum(area, 1e-12)), np.degrees(turn), shift)
