"""Snow, frost and fog, drawn from noise; no photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.blur import streak
from facetell.evaluate.corruptions.chance import Chance
from facetell.evaluate.corruptions.resample import centred, linear, resize

__all__ = ["fog", "frost", "snow"]

Floats = NDArray[np.float32]


def snow(x: Floats, level: tuple[float, ...], chance: Chance) -> Floats:
    """Falling flakes over a face bleached by their light.

    Args:
        level: mean and deviation of the noise that flakes are cut from, its zoom, the threshold,
            length and deviation of their fall in px at 48, and the share of the face that stays.
    """
    mean, deviation, zoom, threshold, length, sigma, kept = level
    flakes = mean + np.float32(deviation) * chance.normal(48, 48, 1)
    flakes = resize(flakes, linear(48, 48, zoom=zoom))
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1).astype(np.float32)
    flakes = streak(flakes, sigma, chance.uniform(45, 135), length)
    flakes = resize(flakes, linear(x.shape[1], 48))
    bleached = np.maximum(x, 1.5 * x.mean(axis=3, keepdims=True) + 0.5)
    return np.asarray(kept * x + (1 - kept) * bleached + flakes + flakes[:, ::-1, ::-1], np.float32)


def frost(x: Floats, level: tuple[float, float], chance: Chance) -> Floats:
    """Ice that grows in from the edges.

    Departs from Hendrycks & Dietterich, who lay photographs of ice over the image.

    Args:
        level: share of the face that stays, and share of the ice.
    """
    kept, added = level
    return np.asarray(kept * x + added * _ice(x.shape[1], chance)[..., None], np.float32)


def _ice(side: int, chance: Chance) -> Floats:
    """(N, S, S) crystals: sharp ridges of noise at three sizes, thicker towards the edges."""
    ridges = sum(
        share * (1 - np.abs(2 * _noise(side, cells, chance) - 1)) ** 3
        for cells, share in ((5, 0.5), (11, 0.35), (23, 0.25))
    )
    place = np.abs(centred(side)) / (side / 2)
    edge = np.maximum(place[:, None], place[None]) ** 2  # (S, S): 0 in the middle, 1 at the edge
    return np.asarray(np.clip(0.15 + ridges * (0.55 + 0.8 * edge), 0, 1), np.float32)


def fog(x: Floats, level: tuple[float, float], chance: Chance) -> Floats:
    """Clouds of every size.

    Departs from Hendrycks & Dietterich by a sum of noises in place of the diamond-square fractal.

    Args:
        level: how thick, and by what factor a cloud of half the size is thinner.
    """
    thickness, decay = level
    clouds = sum(_noise(x.shape[1], 2**k, chance) * decay**-k for k in range(1, 6))
    clouds = clouds - np.min(clouds, axis=(1, 2), keepdims=True)
    clouds = (clouds / np.max(clouds, axis=(1, 2), keepdims=True))[..., None]
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    return np.asarray((x + thickness * clouds) * brightest / (brightest + thickness), np.float32)


def _noise(side: int, cells: int, chance: Chance) -> Floats:
    """(N, S, S) smooth noise, 0-1, about `cells` hills wide."""
    return resize(chance.uniform(0, 1, cells + 1, cells + 1, 1), linear(side, cells + 1))[..., 0]
