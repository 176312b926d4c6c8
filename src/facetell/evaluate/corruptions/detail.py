"""Few pixels and lossy files."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facetell.evaluate.corruptions.chance import Chance
from facetell.evaluate.corruptions.resample import area, linear, nearest, resize

__all__ = ["jpeg", "pixelate", "resolution"]

Floats = NDArray[np.float32]


def pixelate(x: Floats, share: float, _: Chance) -> Floats:
    """Blocks: that share of the pixels in each direction."""
    side = x.shape[1]
    small = max(1, int(side * share))
    return resize(resize(x, area(small, side)), nearest(side, small))


def resolution(x: Floats, face_px: int, _: Chance) -> Floats:
    """A face of that many pixels, enlarged; a face that is no larger stays as it is."""
    side = x.shape[1]
    return x if side <= face_px else resize(resize(x, area(face_px, side)), linear(side, face_px))


def jpeg(x: Floats, quality: int, _: Chance) -> Floats:
    """Through a JPEG file of that quality."""
    pixels = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
    out = np.empty_like(x)
    for row, face in enumerate(pixels):
        out[row] = _through_jpeg(face, quality).reshape(face.shape) / np.float32(255)
    return out


def _through_jpeg(face: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(face[..., 0] if face.shape[2] == 1 else face).save(
        file, "JPEG", quality=quality
    )
    with Image.open(file) as image:
        return np.asarray(image)
