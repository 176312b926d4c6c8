"""What a lens and a movement take away. Pixels are meant at 48 px a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.chance import Chance
from facetell.evaluate.corruptions.resample import convolve, gaussian, linear, resize, sample

__all__ = ["defocus_blur", "glass_blur", "motion_blur", "streak", "zoom_blur"]

Floats = NDArray[np.float32]


def defocus_blur(x: Floats, radius: float, _: Chance) -> Floats:
    """Every point a disc."""
    return convolve(x, _disc(radius * x.shape[1] / 48)[None])


def _disc(radius: float, finer: int = 8) -> NDArray[np.float64]:
    """(k, k) a disc's share of every pixel."""
    half = int(np.ceil(radius))
    size = (2 * half + 1) * finer
    place = (np.arange(size) - (size - 1) / 2) / finer
    inside = place[:, None] ** 2 + place[None] ** 2 <= radius**2
    shares = inside.reshape(2 * half + 1, finer, 2 * half + 1, finer).mean(axis=(1, 3))
    return np.asarray(shares / shares.sum())


def glass_blur(x: Floats, level: tuple[float, int, int], chance: Chance) -> Floats:
    """Pixels from a place nearby, as through frosted glass.

    Departs from Hendrycks & Dietterich by reading a random neighbour for every pixel instead of
    swapping pixels one after the other, which cannot be done for many faces at once.

    Args:
        level: deviation of the blur before and after, farthest neighbour, how often.
    """
    sigma, reach, times = level[0] * x.shape[1] / 48, level[1] * x.shape[1] / 48, level[2]
    side = x.shape[1]
    x = gaussian(x, sigma)
    for _ in range(times):
        offset = np.rint(chance.uniform(-reach, reach, 2, side, side))
        across = np.arange(side, dtype=np.float32)[None, None] + offset[:, 0]
        down = np.arange(side, dtype=np.float32)[None, :, None] + offset[:, 1]
        x = sample(x, across, down)
    return gaussian(x, sigma)


def motion_blur(x: Floats, sigma: float, chance: Chance) -> Floats:
    """A trail that fades to one side, within 45 degrees of level."""
    degrees = chance.uniform(-45, 45)
    return streak(x, sigma * x.shape[1] / 48, degrees, 4 * sigma * x.shape[1] / 48)


def streak(x: Floats, sigma: float, degrees: Floats, length: float) -> Floats:
    """One-sided Gaussian trails.

    Args:
        x: (N, S, S, C).
        sigma: deviation along the trail, px.
        degrees: (N,) its direction, 0 to the right, 90 down.
        length: where it ends, px.
    """
    along = np.arange(0, length + 0.01, 0.5)  # (T,)
    weights = np.exp(-0.5 * (along / sigma) ** 2)
    weights /= weights.sum()
    half = int(np.ceil(length))
    cells = np.arange(-half, half + 1)
    turn = np.deg2rad(degrees.astype(np.float64))[:, None]
    near = [
        np.clip(1 - np.abs(cells - (place * along)[..., None]), 0, 1)  # (N, T, k)
        for place in (np.cos(turn), np.sin(turn))
    ]
    return convolve(x, np.einsum("t,nti,ntj->nij", weights, near[1], near[0]))


def zoom_blur(x: Floats, zoom: float, _: Chance) -> Floats:
    """The mean of the face and of itself enlarged in steps of one per cent."""
    side, steps = x.shape[1], round(100 * (zoom - 1))
    zoomed = [resize(x, linear(side, side, zoom=1 + step / 100)) for step in range(steps + 1)]
    return np.asarray((x + sum(zoomed)) / (len(zoomed) + 1), np.float32)
