"""Faces cut out of an image, and the way back to the image's coordinates.

With the contract's default crop_margin of 0, crops of CenterFace's boxes are framed like
FER2013's faces: over 28 faces of 14 photos the eyes lie at 0.38 and the mouth at 0.74 of the
crop's height, 0.35 apart from eye to eye; in 100 FER2013 faces at 0.40, 0.75 and 0.36.
The difference, one pixel in 48, is smaller than the shifts a model is trained with, so crops
stay centred on the box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.contract import Contract
from facetell.results import Detection

__all__ = ["crop_faces", "crop_quads", "whole_face"]

# Eyes closer than this share of the box's longer side belong to a profile, whose eye line says
# nothing about its tilt. A frontal face has 0.35.
_CLOSEST_EYES = 0.15
_BORDER = 4  # pixels around the crop, so that the bicubic kernel (2 px) never meets an edge


def whole_face(image: NDArray[np.uint8], face_px: int) -> NDArray[np.uint8]:
    """An image that already is a face, as a square of the size a model takes.

    A square image of that size comes back as it is, bit for bit. An oblong one is squared by
    repeating its edge pixels on both sides of the short axis: cutting would lose forehead and
    chin, and stretching would change the expression itself (the width of a mouth, the height
    of an eye).

    Args:
        image: (H, W, 3) uint8.
        face_px: side S of the result, px.

    Returns:
        (S, S, 3) uint8, resampled with antialiasing (bicubic).
    """
    height, width = image.shape[:2]
    if (height, width) == (face_px, face_px):
        return image
    scale = face_px / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Resized before it is padded: a 1 x 1,000,000 image must not become a huge square.
    picture = Image.fromarray(np.ascontiguousarray(image))
    small = picture.resize(size_wh, Image.Resampling.BICUBIC, reducing_gap=3.0)
    spare_x, spare_y = face_px - size_wh[0], face_px - size_wh[1]
    around = (
        (spare_y // 2, spare_y - spare_y // 2),
        (spare_x // 2, spare_x - spare_x // 2),
        (0, 0),
    )
    return np.pad(np.asarray(small), around, mode="edge")


def crop_quads(detections: Sequence[Detection], contract: Contract) -> NDArray[np.float64]:
    """Where the crops of `crop_faces` lie.

    Args:
        detections: N faces.
        contract: crop_margin and align are read.

    Returns:
        (N, 4, 2): the crop's upper left, upper right, lower right and lower left corner, x and
        y in pixels of the image; squares, turned when the face is tilted. The point (u, v) of
        the crop, 0-1, is `quad[0] + u * (quad[1] - quad[0]) + v * (quad[3] - quad[0])`.
    """
    quads = [_quad(detection, contract) for detection in detections]
    return np.array(quads, np.float64).reshape(-1, 4, 2)


def crop_faces(
    image: NDArray[np.uint8], detections: Sequence[Detection], contract: Contract
) -> NDArray[np.uint8]:
    """Faces as squares of the size a model takes.

    A crop's side is (1 + 2 * crop_margin) times the box's longer side, its centre is the
    box's; with `align` it is turned so that the eyes lie level. Pixels beyond the border
    repeat the border.

    Args:
        image: (H, W, 3) uint8.
        detections: N faces, in pixels of that image; they may reach beyond its border.
        contract: face_px (S), crop_margin and align are read.

    Returns:
        (N, S, S, 3) uint8, resampled with antialiasing.
    """
    faces = np.empty((len(detections), contract.face_px, contract.face_px, 3), np.uint8)
    for row, quad in enumerate(crop_quads(detections, contract)):
        faces[row] = _cut(image, quad, contract.face_px)
    return faces


def _quad(detection: Detection, contract: Contract) -> NDArray[np.float64]:
    x1, y1, x2, y2 = detection.box_xyxy
    longer = max(x2 - x1, y2 - y1, 1.0)
    half = (1 + 2 * contract.crop_margin) * longer / 2
    angle = _tilt(detection, longer) if contract.align else 0.0
    right = np.array([math.cos(angle), math.sin(angle)]) * half
    down = np.array([-right[1], right[0]])
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    corners = np.stack([-right - down, right - down, right + down, down - right])
    return np.asarray(centre + corners)


def _tilt(detection: Detection, longer: float) -> float:
    """Angle of the eye line in radians, clockwise on the screen; 0 when it cannot be known."""
    if len(detection.landmarks_xy) < 2:
        return 0.0
    (left_x, left_y), (right_x, right_y) = detection.landmarks_xy[:2]
    if math.hypot(right_x - left_x, right_y - left_y) < _CLOSEST_EYES * longer:
        return 0.0
    return math.atan2(right_y - left_y, right_x - left_x)


def _cut(image: NDArray[np.uint8], quad: NDArray[np.float64], face_px: int) -> NDArray[np.uint8]:
    """Shrink first, then turn, then bring to size: each step antialiased, none wasteful."""
    side = float(np.hypot(*(quad[1] - quad[0])))
    picture, corners = _shrunk_region(image, quad, min(1.0, 2 * face_px / side))
    middle_px = min(max(math.ceil(side), face_px), 2 * face_px)
    (a, d), (b, e) = (corners[1] - corners[0]) / middle_px, (corners[3] - corners[0]) / middle_px
    turned = picture.transform(
        (middle_px, middle_px),
        Image.Transform.AFFINE,
        (a, b, corners[0, 0], d, e, corners[0, 1]),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(turned.resize((face_px, face_px), Image.Resampling.BICUBIC))


def _shrunk_region(
    image: NDArray[np.uint8], quad: NDArray[np.float64], shrink: float
) -> tuple[Image.Image, NDArray[np.float64]]:
    """The part of the image around a quad, shrunk, and the quad's corners in it.

    The image's border is repeated after shrinking, so that a huge box costs no memory.
    """
    size_wh = np.array([image.shape[1], image.shape[0]])
    border = math.ceil(_BORDER / shrink)
    low = np.clip(np.floor(quad.min(axis=0)).astype(int) - border, 0, size_wh - 1)
    high = np.clip(np.ceil(quad.max(axis=0)).astype(int) + border, low + 1, size_wh)
    inside = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    width, height = np.maximum(1, np.rint((high - low) * shrink)).astype(int).tolist()
    small = inside.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    corners = (quad - low) * ((width, height) / (high - low))
    before = np.maximum(0, np.ceil(-corners.min(axis=0)) + _BORDER).astype(int)
    after = np.maximum(0, np.ceil(corners.max(axis=0) - (width, height)) + _BORDER).astype(int)
    around = ((before[1], after[1]), (before[0], after[0]), (0, 0))
    return Image.fromarray(np.pad(np.asarray(small), around, mode="edge")), corners + before
