"""What a sensor adds: the same in every channel, so that grey and RGB models meet the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetell.evaluate.corruptions.chance import Chance

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]

Floats = NDArray[np.float32]


def gaussian_noise(x: Floats, deviation: float, chance: Chance) -> Floats:
    """Normal noise of that deviation."""
    return x + np.float32(deviation) * chance.normal(x.shape[1], x.shape[2], 1)


def shot_noise(x: Floats, photons: float, chance: Chance) -> Floats:
    """Poisson noise where white is that many photons; colour keeps the ratio of its channels."""
    level = x.mean(axis=3, keepdims=True, dtype=np.float32)
    counted = chance.each(lambda g, row: g.poisson(level[row] * photons), *level.shape[1:])
    return np.asarray(x + (counted / np.float32(photons) - level), np.float32)


def impulse_noise(x: Floats, share: float, chance: Chance) -> Floats:
    """That share of the pixels black or white."""
    drawn = chance.uniform(0, 1, x.shape[1], x.shape[2], 1)
    return np.where(drawn < share / 2, 0, np.where(drawn < share, 1, x)).astype(np.float32)
