"""Pixels from other places: maps, sizes and blurs of whole batches.

Letters: N faces, S side in px, C channels. Faces are (N, S, S, C) float32. Nothing here mixes
faces, so that a face comes out the same in any batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["area", "centred", "convolve", "gaussian", "linear", "nearest", "resize", "sample"]

Floats = NDArray[np.float32]


def centred(side: int) -> Floats:
    """(S,) pixel centres, measured from the middle of the face."""
    return np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)


def sample(x: Floats, across: Floats, down: Floats) -> Floats:
    """Bilinear samples; the border goes on outside the face.

    Args:
        x: (N, S, S, C).
        across: (N, S, S) column to read for every output pixel, px.
        down: (N, S, S) row to read.
    """
    last = x.shape[1] - 1
    across, down = np.clip(across, 0, last), np.clip(down, 0, last)
    left = np.minimum(across.astype(np.int64), last - 1)
    top = np.minimum(down.astype(np.int64), last - 1)
    right_share, lower_share = (across - left)[..., None], (down - top)[..., None]
    face = np.arange(len(x))[:, None, None]
    upper = x[face, top, left] * (1 - right_share) + x[face, top, left + 1] * right_share
    lower = x[face, top + 1, left] * (1 - right_share) + x[face, top + 1, left + 1] * right_share
    return np.asarray(upper * (1 - lower_share) + lower * lower_share, np.float32)


def resize(x: Floats, weights: Floats) -> Floats:
    """Faces at another size: rows and columns weighed alike.

    Args:
        x: (N, S, S, C).
        weights: (S', S), rows sum to 1; see `area`, `linear`, `nearest`.

    Returns:
        (N, S', S', C).
    """
    n, side, _, channels = x.shape
    rows = np.matmul(weights, x.reshape(n, side, side * channels))  # (N, S', S * C)
    return np.asarray(np.matmul(weights, rows.reshape(n, len(weights), side, channels)))


def area(after: int, before: int) -> Floats:
    """(after, before) weights of an average over the area that each new pixel covers."""
    edges = np.arange(after + 1) * (before / after)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(before)[None]
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), np.float32)


def linear(after: int, before: int, *, zoom: float = 1.0) -> Floats:
    """(after, before) weights of linear interpolation, enlarged about the middle by `zoom`."""
    place = centred(after) * (before / after / zoom) + (before - 1) / 2
    place = np.clip(place, 0, before - 1)[:, None]
    return np.asarray(np.clip(1 - np.abs(place - np.arange(before)[None]), 0, 1), np.float32)


def nearest(after: int, before: int) -> Floats:
    """(after, before) weights that repeat pixels."""
    source = ((np.arange(after) + 0.5) * before / after).astype(np.int64)
    return np.eye(before, dtype=np.float32)[source]


def convolve(x: Floats, kernels: NDArray[Any]) -> Floats:
    """Each face under its own kernel; the border goes on outside the face.

    Args:
        x: (N, S, S, C).
        kernels: (N, k, k), or (1, k, k) for all; k is odd.
    """
    size, side = kernels.shape[1], x.shape[1]
    half = size // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), mode="edge")
    out = np.zeros_like(x)
    for i, j in np.argwhere(kernels.any(axis=0)):
        share = kernels[:, i, j, None, None, None].astype(np.float32)
        out += share * padded[:, i : i + side, j : j + side]
    return out


def gaussian(x: Floats, sigma: float) -> Floats:
    """A Gaussian blur of that deviation, px."""
    reach = max(1, int(np.ceil(3 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    line = np.zeros((1, len(weights), len(weights)))
    line[0, reach] = weights / weights.sum()
    return convolve(convolve(x, line), line.transpose(0, 2, 1))
