"""What changes between frames: movement, and cuts to another scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_cut", "movement", "thumbnail"]

_GRID = (18, 32)  # cells, rows and columns
_SAMPLES = 4  # pixels taken of each cell, per axis
_CUT = 0.3  # correlation of two thumbnails below which they show different scenes
_CHANGED = 10.0  # grey levels: a cell that changed more shows something else
_FLAT = 2.0  # deviation of a thumbnail that shows nothing, grey levels


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The brightness of a frame in 18 x 32 cells, from a few pixels of each.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (18, 32) float32, 0-255.
    """
    rows, columns = (
        (np.arange(cells * _SAMPLES) * length) // (cells * _SAMPLES)
        for cells, length in zip(_GRID, image.shape[:2], strict=True)
    )
    green = image[rows[:, None], columns[None, :], 1].astype(np.float32)
    cells = green.reshape(_GRID[0], _SAMPLES, _GRID[1], _SAMPLES)  # rows, in a cell, columns, ...
    return np.asarray(cells.mean(axis=(1, 3)))


def movement(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """The largest change of a cell of two thumbnails, grey levels."""
    return float(np.abs(now - before).max())


def is_cut(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    """Whether two thumbnails show different scenes; a flash, a fade or a passer-by is none."""
    changed = float((np.abs(now - before) > _CHANGED).mean())
    if changed < 0.5 or before.std() < _FLAT or now.std() < _FLAT:
        return False
    return bool(np.corrcoef(before.ravel(), now.ravel())[0, 1] < _CUT)
