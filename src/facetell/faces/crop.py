"""Faces cut out of an image, and the way back to the image's coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["whole_face"]


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
